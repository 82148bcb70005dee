import { createUsageMeter, type Usage } from '../../engine/browse/usage.ts';
import { exitCodes } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import { type BrowseOptions, browse, configureBrowsing } from '../browsing.ts';
import { volumeNameOf } from '../choose-snapshots.ts';
import type { Command } from '../command.ts';
import { findNamedSnapshot } from '../named-snapshot.ts';
import type { Output } from '../output/output.ts';
import { displayText } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { configureFilter, type FilterOptions, filterOf, warnOfNone } from '../snapshot-filter.ts';
import { systemClock } from '../system-clock.ts';

type Options = BrowseOptions & FilterOptions;

/** A line of `--json`; without `volume` for all together. */
type StatsRow = Usage & { project?: string | undefined; volume?: string; deduplicationRatio: number; compressionRatio: number };

export const command: Command<Options> = {
  configure(commander) {
    commander.argument('[snapshot...]', 'snapshots to count: ids, volumes (their latest), `latest`; all when none is named');
    configureFilter(commander);
    configureBrowsing(commander);
    commander.addHelpText(
      'after',
      '\nDEDUP is how much larger the files of all snapshots are than what is kept of them, COMPRESSED how much larger that is than what is stored.',
    );
  },

  run(context) {
    const { options, operands, output, cwd } = context;
    return browse(context, async ({ configuration, snapshots, trees }) => {
      const references = { snapshots, configuration, volume: options.volume?.[0], now: systemClock.now() };
      const chosen =
        operands.length > 0
          ? [...new Set(operands.map((text) => findNamedSnapshot(text, references).snapshot))]
          : snapshots.filter(filterOf(options, configuration, cwd));
      warnOfNone(output, options, chosen);
      const meter = createUsageMeter(trees);
      const names = new Map<string, { project: string | undefined; volume: string }>();
      for (const snapshot of chosen) {
        const group = groupOf(snapshot);
        const key = JSON.stringify(group);
        names.set(key, group);
        await meter.add(key, snapshot.tree);
      }
      const { groups, total } = meter.finish();
      const rows = [...groups].map(([key, usage]): StatsRow => ({ ...names.get(key), ...withRatios(usage) }));
      showAll(output, rows, withRatios(total));
      return exitCodes.done;
    });
  },
};

function groupOf(snapshot: StoredSnapshot): { project: string | undefined; volume: string } {
  return { project: identityFromTags(snapshot.tags)?.project, volume: volumeNameOf(snapshot) };
}

function withRatios(usage: Usage): StatsRow {
  const { plainBytes, storedBytes } = usage.blobs;
  return { ...usage, deduplicationRatio: ratio(usage.restore.bytes, plainBytes), compressionRatio: ratio(plainBytes, storedBytes) };
}

/** With two digits; 0 when there is nothing to divide by. */
const ratio = (whole: number, part: number): number => (part === 0 ? 0 : Math.round((whole / part) * 100) / 100);

function showAll(output: Output, rows: readonly StatsRow[], total: StatsRow): void {
  for (const row of [...rows, total]) output.document(row);
  const projects = new Set(rows.map(({ project }) => project));
  const nameOf = ({ project, volume = '' }: StatsRow) =>
    displayText(projects.size > 1 && project !== undefined ? `${project}/${volume}` : volume);
  const columns = ['VOLUME', 'SNAPSHOTS', 'FILES', 'RESTORED', 'DISTINCT FILES', 'THEIR SIZE', 'BLOBS', 'STORED', 'DEDUP', 'COMPRESSED'];
  output.table(
    columns.map((title, i) => ({ title, align: i === 0 ? ('left' as const) : ('right' as const) })),
    [...rows.map((row) => cellsOf(nameOf(row), row)), cellsOf('(all)', total)],
  );
  if (total.blobs.missing > 0)
    output.warning(`${formatCount(total.blobs.missing, 'blob')} that files refer to are not there: run \`holdfast check\``);
}

function cellsOf(name: string, { snapshots, restore, distinctFiles, blobs, deduplicationRatio, compressionRatio }: StatsRow): string[] {
  return [
    name,
    formatCount(snapshots),
    formatCount(restore.files),
    formatSize(restore.bytes),
    formatCount(distinctFiles.files),
    formatSize(distinctFiles.bytes),
    formatCount(blobs.data + blobs.trees),
    formatSize(blobs.storedBytes),
    `${deduplicationRatio}x`,
    `${compressionRatio}x`,
  ];
}
