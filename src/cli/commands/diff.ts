import { resolve } from 'node:path';
import type { VolumeConfiguration } from '../../control/configuration/configuration.ts';
import { type Difference, type DiffStatistics, diffTrees } from '../../engine/browse/diff.ts';
import { diffLive, type LiveStatistics } from '../../engine/browse/diff-live.ts';
import { findEntry } from '../../engine/browse/find-entry.ts';
import { type LiveVolumeOptions, openLiveVolume } from '../../engine/browse/live-volume.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { type BlobId, shortId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { formatSize } from '../../model/quantities.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { type BrowseOptions, type Browsing, browse, configureBrowsing } from '../browsing.ts';
import type { Command, CommandContext } from '../command.ts';
import { completeProject } from '../labelled-project.ts';
import { findNamedSnapshot, joinPaths, type NamedSnapshot, type NamingContext, relativePath } from '../named-snapshot.ts';
import { pathMembers } from '../output/listing.ts';
import { displayText, type Style } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { createPlatforms } from '../platforms.ts';
import { selectVolumes } from '../project.ts';
import { systemClock } from '../system-clock.ts';

type Options = BrowseOptions & {
  volume?: string;
  path?: string;
  metadata?: boolean;
  live?: string | true;
  content?: boolean;
  ignoreCtime?: boolean;
  ignoreInode?: boolean;
};

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<snapshot>', 'an id, `latest`, a volume, or a time; `ID:PATH` for a part')
      .argument('[snapshot]', 'the later one')
      .option('--volume <name>', 'the volume that times and `latest` are of')
      .option('--path <subtree>', 'only below this path')
      .option('--metadata', 'show what changed in metadata alone too')
      .option('--live [volume]', 'compare the snapshot with its volume, or with this one, as it is now')
      .option('--content', 'with --live: read files that may have changed, and compare their content')
      .option('--ignore-ctime', 'with --live: a changed ctime alone does not make a file changed')
      .option('--ignore-inode', 'with --live: a changed inode number alone does not make a file changed');
    configureBrowsing(commander);
    commander.addHelpText(
      'after',
      '\n+ added, - removed, M content changed, U metadata changed, T type changed, ? content changed though no metadata did.',
    );
  },

  async run(context) {
    const { operands, options } = context;
    const live = options.live !== undefined;
    if (operands.length !== (live ? 1 : 2)) {
      const remedy = 'name two snapshots, or one and --live';
      throw new HoldfastError('usage', `diff ${live ? '--live takes one snapshot' : 'takes two snapshots'}`, { remedy });
    }
    if (!live && (options.content || options.ignoreCtime || options.ignoreInode)) {
      throw new HoldfastError('usage', '--content, --ignore-ctime and --ignore-inode are for --live');
    }
    return browse(context, (browsing) => (live ? compareLive(context, browsing) : compareSnapshots(context, browsing)));
  },
};

function contextOf({ options }: CommandContext<Options>, { snapshots, configuration }: Browsing): NamingContext {
  return { snapshots, configuration, volume: options.volume, now: systemClock.now() };
}

async function compareSnapshots(context: CommandContext<Options>, browsing: Browsing): Promise<number> {
  const { output, options, operands } = context;
  const references = contextOf(context, browsing);
  const [from, to] = operands.map((text) => findNamedSnapshot(text, references)) as [NamedSnapshot, NamedSnapshot];
  const [before, after] = await Promise.all([directoryOf(from, context, browsing), directoryOf(to, context, browsing)]);
  output.note(`comparing ${titleOf(from)} with ${titleOf(to)}`);
  const statistics = await diffTrees({
    trees: browsing.trees,
    before: before.tree,
    after: after.tree,
    prefix: after.path,
    metadata: options.metadata ?? false,
    onDifference: (difference) => show(context, difference),
  });
  output.document({ before: from.snapshot.id, after: to.snapshot.id, statistics });
  showStatistics(context, statistics);
  return exitCodes.done;
}

const titleOf = ({ snapshot, volume }: NamedSnapshot): string =>
  `snapshot ${shortId(snapshot.id)} of ${displayText(volume)} (${snapshot.time.replace(/\.\d+/, '')})`;

/** The directory that is compared. @throws `path-missing`; `usage` for what is none. */
async function directoryOf(
  { snapshot, path }: NamedSnapshot,
  { options }: CommandContext<Options>,
  { trees }: Browsing,
): Promise<{ tree: BlobId; path: RawString }> {
  const found = await findEntry(trees, snapshot.tree, joinPaths(path, relativePath(options.path ?? '')));
  if (found.tree !== undefined) return found;
  throw new HoldfastError('usage', `${displayRaw(found.path)} is not a directory in snapshot ${shortId(snapshot.id)}`, {
    remedy: 'name a directory',
  });
}

async function compareLive(context: CommandContext<Options>, browsing: Browsing): Promise<number> {
  const { output, options, operands } = context;
  const { repository, trees, signal } = browsing;
  const from = findNamedSnapshot(operands[0] as string, contextOf(context, browsing));
  const { volume, path: start } = await locate(context, browsing, from);
  const { tree } = await directoryOf(from, context, browsing);
  const live = openLiveVolume(volume, repository.config.chunkerPolynomial);
  output.note(`comparing ${titleOf(from)} with ${displayText(volume.directory)}`);
  try {
    const statistics = await diffLive({
      trees,
      tree,
      path: joinPaths(start, relativePath(options.path ?? '')),
      live,
      metadata: options.metadata ?? false,
      content: options.content ?? false,
      ignoreCtime: options.ignoreCtime ?? false,
      ignoreInode: options.ignoreInode ?? false,
      onDifference: (difference) => show(context, difference),
      onUnreadable: (path, message) => output.warning(`${displayRaw(path)}: ${message}`),
      signal,
    });
    output.document({ before: from.snapshot.id, directory: volume.directory, statistics });
    showStatistics(context, statistics);
    return statistics.unreadable > 0 ? exitCodes.incomplete : exitCodes.done;
  } finally {
    live.close();
  }
}

/** The volume of the snapshot, the one that was named, or a directory; and where in it the comparison starts. */
async function locate(
  context: CommandContext<Options>,
  { configuration }: Browsing,
  from: NamedSnapshot,
): Promise<{ volume: LiveVolumeOptions; path: RawString }> {
  const { options, cwd } = context;
  const named = typeof options.live === 'string' ? options.live : undefined;
  if (named !== undefined && (configuration === undefined || named.includes('/'))) {
    const directory = resolve(cwd, named);
    const everything = { excludes: {}, excludeIfPresent: [], excludeCaches: false, oneFileSystem: false };
    return { volume: { volume: from.volume, directory, ...everything }, path: relativePath('') };
  }
  if (configuration === undefined) {
    throw new HoldfastError('usage', 'without a holdfast.yaml, --live needs a directory', { remedy: 'write --live DIRECTORY' });
  }
  const platforms = createPlatforms(context, configuration);
  try {
    const project = (await completeProject(configuration, platforms)).configuration;
    const [volume] = await selectVolumes(project, [named ?? from.volume]);
    const { name, source, exclude, excludeIfPresent, excludeCaches, oneFileSystem } = volume as VolumeConfiguration;
    const { directory } = await platforms.locate({ name, project: configuration.project, source });
    const excludes = { ignorePatterns: exclude };
    return { volume: { volume: name, directory, excludes, excludeIfPresent, excludeCaches, oneFileSystem }, path: from.path };
  } finally {
    platforms.close();
  }
}

function show({ output }: CommandContext<Options>, { path, change, before, after }: Difference): void {
  const node = after ?? (before as TreeNode);
  output.document({ change, ...pathMembers(path), type: node.type });
  output.line(`${paintChange(change, output.style)}${' '.repeat(5 - change.length)}${displayRaw(path)}${node.type === 'dir' ? '/' : ''}`);
}

const paintChange = (change: Difference['change'], { good, bad, warning }: Style): string =>
  change === '+' ? good(change) : change === '-' || change === '?' ? bad(change) : warning(change);

function showStatistics({ output }: CommandContext<Options>, statistics: DiffStatistics | LiveStatistics): void {
  const { added, removed, changedFiles, changedOthers } = statistics;
  const row = (name: string, kind: 'files' | 'dirs' | 'others', changed: number | undefined) => [
    name,
    formatCount(added[kind]),
    formatCount(removed[kind]),
    changed === undefined ? '' : formatCount(changed),
  ];
  const rows = [row('files', 'files', changedFiles), row('directories', 'dirs', undefined), row('others', 'others', changedOthers)];
  if ('dataBlobs' in added && 'dataBlobs' in removed) {
    rows.push(['data blobs', formatCount(added.dataBlobs), formatCount(removed.dataBlobs), '']);
    rows.push(['tree blobs', formatCount(added.treeBlobs), formatCount(removed.treeBlobs), '']);
  }
  rows.push(['size', formatSize(added.bytes), formatSize(removed.bytes), '']);
  output.line();
  output.table([{ title: '' }, ...['ADDED', 'REMOVED', 'CHANGED'].map((title) => ({ title, align: 'right' as const }))], rows);
}
