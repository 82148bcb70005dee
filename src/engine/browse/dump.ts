/** The content of a file or directory of a snapshot, as bytes to be sent somewhere. */
import type { TreeNode } from '../../model/node.ts';
import { withContentAhead } from './content-ahead.ts';
import type { DumpOptions } from './dump-options.ts';
import { dumpTar } from './dump-tar.ts';
import { dumpZip } from './dump-zip.ts';

export type ArchiveFormat = 'tar' | 'zip';

/** A directory as an archive. Bounded memory, whatever its size, but for a record of each entry that zip keeps. */
export const dumpDirectory = (format: ArchiveFormat, options: DumpOptions): AsyncGenerator<Uint8Array> =>
  format === 'tar' ? inLargePieces(dumpTar(options)) : inLargePieces(dumpZip(options));

/** A file's bytes. @throws `damaged`, `file-missing`, `storage`: what came before is then only a part. */
export async function* dumpFile(
  { content }: TreeNode,
  { repository, trees }: Pick<DumpOptions, 'repository' | 'trees'>,
): AsyncGenerator<Uint8Array> {
  const only = async function* () {
    yield content ?? [];
  };
  for await (const file of withContentAhead(only(), (blobs) => blobs, { repository, index: trees.index })) yield* file.content;
}

/** What goes out together: each piece costs a call of the system. */
const pieceBytes = 64 * 1024;

/** Joins small pieces. What came before an error goes out before it. */
async function* inLargePieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  const takeHeld = () => {
    const joined = Buffer.concat(held, heldBytes);
    held = [];
    heldBytes = 0;
    return joined;
  };
  try {
    for await (const piece of bytes) {
      if (heldBytes > 0 && heldBytes + piece.length > pieceBytes) yield takeHeld();
      if (piece.length >= pieceBytes) yield piece;
      else {
        held.push(piece);
        heldBytes += piece.length;
      }
    }
  } catch (error) {
    if (heldBytes > 0) yield takeHeld();
    throw error;
  }
  if (heldBytes > 0) yield takeHeld();
}
