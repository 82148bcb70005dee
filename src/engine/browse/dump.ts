/** The content of a file or directory of a snapshot, as bytes to be sent somewhere. */
import type { TreeNode } from '../../model/node.ts';
import { withContentAhead } from './content-ahead.ts';
import type { DumpOptions } from './dump-options.ts';
import { dumpTar } from './dump-tar.ts';
import { dumpZip } from './dump-zip.ts';

export type ArchiveFormat = 'tar' | 'zip';

/** A directory as an archive. Bounded memory, whatever its size, but for a record of each entry that zip keeps. */
export const dumpDirectory = (format: ArchiveFormat, options: DumpOptions): AsyncGenerator<Uint8Array> =>
  format === 'tar' ? dumpTar(options) : dumpZip(options);

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
