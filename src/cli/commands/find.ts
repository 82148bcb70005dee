import { parsePointInTime } from '../../control/point-in-time.ts';
import { Finder, type Wanted } from '../../engine/browse/find.ts';
import { findObjects, type ObjectKind, type ObjectMatcher } from '../../engine/browse/find-objects.ts';
import { compileFindPatterns } from '../../engine/browse/find-patterns.ts';
import { parseTime } from '../../format/time.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { type BrowseOptions, type Browsing, browse, configureBrowsing } from '../browsing.ts';
import { volumeNameOf } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { entryDocument, longLine, pathMembers } from '../output/listing.ts';
import { displayText } from '../output/text.ts';
import { collect, configureFilter, type FilterOptions, filterOf, snapshotsOfIds, warnOfNone } from '../snapshot-filter.ts';
import { systemClock } from '../system-clock.ts';

type Options = BrowseOptions &
  FilterOptions & {
    snapshot?: string[];
    newest?: string;
    oldest?: string;
    ignoreCase?: boolean;
    long?: boolean;
    blob?: boolean;
    tree?: boolean;
    pack?: boolean;
  };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<pattern...>', 'patterns of paths (`*.conf`, `etc/*.conf`, `/etc/**/*.conf`), or ids')
      .option('-s, --snapshot <id>', 'only in this snapshot (repeatable)', collect)
      .option('-i, --ignore-case', 'whatever the case of letters')
      .option('-l, --long', 'with modes, owners, sizes and times')
      .option('-N, --newest <time>', 'only what was last changed at or before this time')
      .option('-O, --oldest <time>', 'only what was last changed at or after this time')
      .option('--blob', 'patterns are ids of data blobs: find the files that hold them')
      .option('--tree', 'patterns are ids of trees: find the directories')
      .option('--pack', 'patterns are ids of packs: find what uses their blobs');
    configureFilter(commander);
    configureBrowsing(commander);
    commander.addHelpText(
      'after',
      '\nA pattern without a slash is compared with names, one that begins with a slash with paths from the root of the volume. All that is below a directory that matches is found too.',
    );
  },

  async run(context) {
    const kind = objectKind(context.options);
    const accepts = timeFilter(context.options, systemClock.now());
    return browse(context, async (browsing) => {
      const { options, operands } = context;
      const objects =
        kind === undefined
          ? undefined
          : findObjects(
              browsing.trees.index,
              kind,
              operands.map((id) => id.toLowerCase()),
            );
      const wanted = objects === undefined ? byPaths(operands, options.ignoreCase ?? false) : byObjects(objects);
      return search(context, browsing, accepts === undefined ? wanted : { ...wanted, accepts }, objects);
    });
  },
};

function objectKind({ blob, tree, pack }: Options): ObjectKind | undefined {
  const kinds = [blob && 'blob', tree && 'tree', pack && 'pack'].filter((kind) => typeof kind === 'string');
  if (kinds.length > 1) throw new HoldfastError('usage', `--${kinds.join(' and --')} exclude each other`);
  return kinds[0] as ObjectKind | undefined;
}

function byPaths(patterns: readonly string[], ignoreCase: boolean): Wanted {
  const { matches, canMatchBelow, pathMatters } = compileFindPatterns(patterns, ignoreCase);
  return { matches: (path, { name }) => matches(path, name), canMatchBelow, pathMatters, wholeDirectories: true };
}

const byObjects = ({ refersTo }: ObjectMatcher): Wanted => ({
  matches: (_path, node) => refersTo(node),
  canMatchBelow: () => true,
  pathMatters: false,
  wholeDirectories: false,
});

function timeFilter({ newest, oldest }: Options, now: Date): ((node: TreeNode) => boolean) | undefined {
  if (newest === undefined && oldest === undefined) return undefined;
  const [from, to] = [oldest, newest].map((text) => (text === undefined ? undefined : parsePointInTime(text, now).getTime()));
  return ({ mtime }) => {
    const { sec, nsec } = parseTime(mtime);
    const timeMs = sec * 1000 + nsec / 1e6;
    return (from === undefined || timeMs >= from) && (to === undefined || timeMs <= to);
  };
}

async function search(
  { options, output, cwd, operands }: CommandContext<Options>,
  { trees, snapshots, configuration, signal }: Browsing,
  wanted: Wanted,
  objects: ObjectMatcher | undefined,
): Promise<number> {
  const filtered = snapshots.filter(filterOf(options, configuration, cwd));
  const chosen = options.snapshot === undefined ? filtered : snapshotsOfIds(snapshots, options.snapshot);
  warnOfNone(output, options, chosen);
  let current: StoredSnapshot | undefined;
  let found = 0;
  let damaged = 0;
  const show = (node: Pick<TreeNode, 'content' | 'subtree'>, line: string, document: object) => {
    const snapshot = current as StoredSnapshot;
    if (found++ === 0 || shown !== snapshot) output.line(`${shown === undefined ? '' : '\n'}${titleOf(snapshot)}`);
    shown = snapshot;
    const of = objects?.objectsOf(node) ?? [];
    const blobs = of.map(({ kind, id, places }) => ({ type: kind, id, packs: places.map(({ pack }) => pack) }));
    output.document({ snapshot: snapshot.id, volume: volumeNameOf(snapshot), ...document, ...(objects === undefined ? {} : { blobs }) });
    output.line(`${line}${of.map(({ kind, id }) => `  ${kind} ${shortId(id)}`).join('')}`);
  };
  let shown: StoredSnapshot | undefined;
  const finder = new Finder({
    trees,
    wanted,
    onMatch: (path, node) => show(node, options.long ? longLine(path, node) : displayRaw(path), entryDocument(path, node)),
    onDamage: (path, error) => {
      damaged++;
      output.warning(`${displayRaw(path) || '/'}: ${error.message}`);
    },
  });
  // What is lost is mostly found in what was saved last.
  for (current of chosen.toReversed()) {
    signal.throwIfAborted();
    const root = { content: undefined, subtree: current.tree };
    if (objects?.refersTo(root)) show(root, '/', { ...pathMembers('' as RawString), type: 'dir' });
    await finder.search(current.tree);
  }
  for (const { kind, id, places } of objects?.unused() ?? []) {
    output.note(`${kind} blob ${id} (pack ${places.map(({ pack }) => shortId(pack)).join(', ')}) is used by none of the snapshots`);
  }
  if (found === 0) output.note(`nothing matches ${operands.map((text) => displayText(text)).join(' ')} in ${chosen.length} snapshots`);
  return damaged > 0 ? exitCodes.failed : exitCodes.done;
}

const titleOf = (snapshot: StoredSnapshot): string =>
  `snapshot ${shortId(snapshot.id)} of ${displayText(volumeNameOf(snapshot))}, ${snapshot.time.replace(/\.\d+/, '')}`;
