/** A directory of a snapshot as a zip archive: what zip can hold of it, which is files, directories and symlinks with modes and times. */
import { once } from 'node:events';
import { type PassThrough, Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { statModeFromGo } from '../../format/file-mode.ts';
import { parseTime } from '../../format/time.ts';
import type { TreeNode } from '../../model/node.ts';
import { bytesFromRaw, displayRaw, type RawString, textFromRaw } from '../../model/raw-bytes.ts';
import { withContentAhead } from './content-ahead.ts';
import type { DumpOptions } from './dump-options.ts';
import { walkTree } from './walk-tree.ts';

/** @throws as `withContentAhead` and `walkTree`: the archive then lacks its directory, without which nobody reads it. */
export async function* dumpZip(options: DumpOptions): AsyncGenerator<Uint8Array> {
  const zip = new ZipFile();
  const output = zip.outputStream as PassThrough;
  const done = new AbortController();
  const filling = fill(zip, output, options, done.signal).then(
    () => zip.end(),
    (error: unknown) => void output.destroy(error as Error),
  );
  zip.once('error', (error: Error) => output.destroy(error));
  try {
    yield* output as AsyncIterable<Uint8Array>;
  } finally {
    done.abort();
    await filling;
  }
}

async function fill(zip: ZipFile, output: PassThrough, options: DumpOptions, done: AbortSignal): Promise<void> {
  const { repository, trees, directory, onSkipped, onRenamed } = options;
  const walk = walkTree(trees, directory.tree, '' as RawString);
  for await (const { item, content } of withContentAhead(walk, ({ node }) => node.content, { repository, index: trees.index })) {
    const { path, node } = item;
    const name = zipName(path);
    if (name !== textFromRaw(path)) onRenamed(path, name);
    const attributes = { mtime: dateOf(node), mode: statModeFromGo(node.mode) };
    if (node.type === 'dir') zip.addEmptyDirectory(name, attributes);
    else if (node.type === 'symlink')
      zip.addBuffer(bytesFromRaw(node.linkTarget ?? ('' as RawString)), name, { ...attributes, compress: false });
    else if (node.type === 'file') {
      const stream = Readable.from(content, { objectMode: false });
      zip.addReadStream(stream, name, attributes);
      await finished(stream, { signal: done });
    } else onSkipped(path, node.type);
    if (output.writableNeedDrain) await once(output, 'drain', { signal: done });
  }
}

/** A name that zip and its readers take: text, without what other systems read as separators or drives. */
function zipName(path: RawString): string {
  const text = textFromRaw(path) ?? displayRaw(path);
  return text.replaceAll('\\', '_').replace(/^([a-zA-Z]):/, '$1_');
}

/** Zip's field for times of Unix has 32 bits. */
const lastSecond = 2 ** 31 - 1;

function dateOf({ mtime }: TreeNode): Date {
  return new Date(Math.min(Math.max(parseTime(mtime).sec, 0), lastSecond) * 1000);
}
