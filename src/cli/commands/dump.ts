import { resolve } from 'node:path';
import { type ArchiveFormat, dumpDirectory, dumpFile } from '../../engine/browse/dump.ts';
import { type FoundEntry, findEntry } from '../../engine/browse/find-entry.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import { type BrowseOptions, type Browsing, browse, configureBrowsing } from '../browsing.ts';
import type { Command, CommandContext } from '../command.ts';
import { findNamedSnapshot, joinPaths, type NamedSnapshot, relativePath } from '../named-snapshot.ts';
import { openOutputFile } from '../output/output-file.ts';
import { sendBytes } from '../output/send-bytes.ts';
import { systemClock } from '../system-clock.ts';

type Options = BrowseOptions & { archive?: string; output?: string; volume?: string; at?: string };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<volume|snapshot>', 'a volume, the id of a snapshot, or `latest`')
      .argument('[path]', "a file, or a directory, which makes an archive; default the volume's root")
      .option('--at <time|snapshot>', 'of a volume: the newest snapshot at or before this time', 'latest')
      .option('--volume <name>', 'the volume that `latest` or a time is of')
      .option('--archive <format>', 'what a directory becomes: tar or zip', 'tar')
      .option('-o, --output <file>', 'write to this file; it appears when it is complete');
    configureBrowsing(commander);
    commander.addHelpText(
      'after',
      '\nZip holds files, directories and symlinks; tar all that a snapshot does. Exit code 3 says that something was left out.',
    );
  },

  async run(context) {
    const format = parseFormat(context.options.archive ?? 'tar');
    if (context.options.output === '-')
      throw new HoldfastError('usage', 'without --output, dump writes to standard output; a file called - is ./-');
    return browse(context, (browsing) => dump(context, browsing, format));
  },
};

function parseFormat(text: string): ArchiveFormat {
  if (text === 'tar' || text === 'zip') return text;
  throw new HoldfastError('usage', `--archive takes tar or zip, not ${JSON.stringify(text)}`);
}

async function dump(context: CommandContext<Options>, browsing: Browsing, format: ArchiveFormat): Promise<number> {
  const { operands, options, stdout, output, cwd } = context;
  const { snapshots, configuration, trees } = browsing;
  const [what = '', path = ''] = operands;
  const reference = findNamedSnapshot(what, { snapshots, configuration, volume: options.volume, at: options.at, now: systemClock.now() });
  const found = await findEntry(trees, reference.snapshot.tree, joinPaths(reference.path, relativePath(path)));
  if (found.tree === undefined && found.node.type !== 'file') {
    throw new HoldfastError('usage', `${displayRaw(found.path)} is neither a file nor a directory (${found.node.type})`, {
      remedy: 'restore it',
    });
  }
  if (found.tree !== undefined && options.output === undefined && stdout.isTTY) {
    throw new HoldfastError('usage', 'an archive is not written to a terminal', {
      remedy: 'send it to a program or a file, or give --output FILE',
    });
  }
  const content = contentOf(context, browsing, reference, found, format);
  if (options.output === undefined) await sendBytes(content.bytes, stdout, browsing.signal);
  else {
    const file = await openOutputFile(resolve(cwd, options.output));
    await file.write(content.bytes, browsing.signal);
    output.document({
      snapshot: reference.snapshot.id,
      volume: reference.volume,
      path: displayRaw(found.path),
      output: file.path,
      sizeBytes: file.sizeBytes,
    });
  }
  return content.lost() > 0 ? exitCodes.incomplete : exitCodes.done;
}

/** What is written, and how much of it could not be. */
type Content = { bytes: AsyncGenerator<Uint8Array>; lost: () => number };

function contentOf(
  { output }: CommandContext<Options>,
  { repository, trees }: Browsing,
  { snapshot }: NamedSnapshot,
  found: FoundEntry,
  format: ArchiveFormat,
): Content {
  if (found.tree === undefined) return { bytes: dumpFile(found.node, { repository, trees }), lost: () => 0 };
  let lost = 0;
  const bytes = dumpDirectory(format, {
    repository,
    trees,
    directory: { tree: found.tree, node: found.node ?? snapshot.root },
    onSkipped: (path, type) => {
      lost++;
      output.warning(`${displayRaw(path)} is left out: a ${format} archive holds no ${type}`);
    },
    onRenamed: (path, name) => output.warning(`${displayRaw(path)} is called ${name} in the archive`),
  });
  return { bytes, lost: () => lost };
}
