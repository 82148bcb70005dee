import type { Configuration } from '../../control/configuration/configuration.ts';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { type CopyResult, copySnapshots } from '../../engine/maintenance/copy.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { chooseSnapshots, volumeNameOf } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureFrom, type FromOptions, sourceOf } from '../from-options.ts';
import { configureLanes, type LaneBudget, type LaneOptions, parseLanes } from '../lane-options.ts';
import { findProject } from '../project.ts';
import { laneEntry, type Session, withTwoRepositories, withWarmLanes } from '../session.ts';
import { configureFilter, type FilterOptions, filterOf, snapshotsOfIds, warnOfNone } from '../snapshot-filter.ts';
import { systemClock } from '../system-clock.ts';

type Options = LaneOptions & FromOptions & FilterOptions & { to?: string; at?: string; dryRun?: boolean; lock: boolean };
type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander.argument('[snapshot...]', 'ids of snapshots, or their beginnings; all of the project when none is named');
    configureFrom(commander);
    commander.option('--to <url|name>', 'the repository to copy to (default: the one that all commands use)');
    configureFilter(commander);
    commander
      .option('--at <time|snapshot|latest>', 'only the restore point of this time, as `restore` chooses it')
      .option('-n, --dry-run', 'copy nothing; say what would be copied')
      .option('--no-lock', 'write no lock to the source: where it cannot be written, while nobody prunes it');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nWithout --from and --to, copies what the copy schedules of holdfast.yaml say. What is there already is not copied again. Exit code 1 says that\nthe source is damaged: snapshots that need what is lost are listed and left out.',
    );
  },

  async run(context) {
    const { options } = context;
    const configuration = await findProject(context);
    const budget = parseLanes(options);
    let exitCode: number = exitCodes.done;
    for (const route of routesOf(context, configuration)) {
      const code = await withWarmLanes('copy', budget.lanes, (warm) => copyRoute(context, configuration, route, budget, warm));
      if (code !== exitCodes.done) exitCode = code;
    }
    return exitCode;
  },
};

type Route = { from: string | undefined; to: string | undefined };

/** From where to where: what the command line and the environment say, else what the schedules do. */
function routesOf({ options, environment }: Context, configuration: Configuration | undefined): Route[] {
  const { from = environment.HOLDFAST_FROM_REPOSITORY ?? environment.RESTIC_FROM_REPOSITORY, to } = options;
  if (from !== undefined) return [{ from, to }];
  const scheduled = (configuration?.schedules ?? []).flatMap(({ action }) => (action.kind === 'copy' ? [action] : []));
  const routes = new Map(
    scheduled.filter((action) => to === undefined || action.to === to).map((action) => [`${action.from}\n${action.to}`, action]),
  );
  if (routes.size === 0) throw new HoldfastError('usage', 'nothing says what to copy', { remedy: 'name the source with --from' });
  return [...routes.values()];
}

async function copyRoute(
  context: Context,
  configuration: Configuration | undefined,
  { from, to }: Route,
  { lanes }: LaneBudget,
  warm: WarmLanes,
): Promise<number> {
  const { options, output } = context;
  const startedMs = performance.now();
  const destinationLock = options.dryRun ? 'none' : 'shared';
  return withTwoRepositories(
    context,
    configuration,
    { from: { ...sourceOf(options), named: from }, to },
    { source: options.lock ? destinationLock : 'none', destination: destinationLock },
    async (source, destination) => {
      output.report({ event: 'run-started', operation: 'copy', run: '', volumes: [`${source.label} to ${destination.label}`] });
      if (source.repository.config.chunkerPolynomial !== destination.repository.config.chunkerPolynomial) {
        output.warning(
          'the two repositories cut files differently: a backup straight into the destination will not find the chunks that were copied; `holdfast init --copy-chunker-params` makes a repository that cuts like another',
        );
      }
      // Snapshots before the index, the reverse of a backup's order: of one that is at work nothing is missed.
      const [snapshots, present] = await Promise.all([readableSnapshots(context, source), listSnapshots(destination.repository)]);
      const [sourceIndex, destinationIndex] = [await loadIndex(source.repository), await loadIndex(destination.repository)];
      const result = await copySnapshots({
        source: { ...source, index: sourceIndex },
        destination: { ...destination, index: destinationIndex },
        snapshots: choose(context, configuration, snapshots),
        present,
        volumeOf: volumeNameOf,
        laneEntry,
        warmLanes: warm,
        lanes,
        dryRun: options.dryRun === true,
        report: output.report,
        signal: destination.signal,
        clock: systemClock,
      });
      tell(context, source, destination, result);
      const { exitCode } = result;
      output.report({ event: 'run-finished', operation: 'copy', run: '', durationMs: Math.round(performance.now() - startedMs), exitCode });
      return exitCode;
    },
  );
}

/** A damaged snapshot file of the source is none of the others' business. */
function readableSnapshots({ output }: Context, { repository }: Session): Promise<StoredSnapshot[]> {
  return listSnapshots(repository, (name) => output.warning(`the snapshot file ${name} of the source is damaged: it is not copied`));
}

function choose(context: Context, configuration: Configuration | undefined, all: readonly StoredSnapshot[]): StoredSnapshot[] {
  const { operands, options, cwd } = context;
  if (operands.length > 0) return snapshotsOfIds(all, operands);
  const matching = all.filter(filterOf(options, configuration, cwd));
  warnOfNone(context.output, options, matching);
  if (options.at === undefined) return matching;
  const { at, volume: volumes = [] } = options;
  return chooseSnapshots({ snapshots: matching, configuration, volumes, at, now: systemClock.now() }).map(({ snapshot }) => snapshot);
}

function tell({ output, options }: Context, source: Session, destination: Session, result: CopyResult): void {
  const { snapshots, blobs, sourceBytes, storedBytes } = result;
  const count = (outcome: string) => snapshots.filter((snapshot) => snapshot.outcome === outcome).length;
  const counts = { copied: count('copied'), wouldCopy: count('would-copy'), present: count('present'), damaged: count('damaged') };
  output.document({
    from: source.label,
    to: destination.label,
    dryRun: options.dryRun === true,
    ...counts,
    blobs,
    sourceBytes,
    storedBytes,
  });
  const done = options.dryRun ? `${counts.wouldCopy} snapshots would be copied` : `${counts.copied} snapshots copied`;
  const size = options.dryRun ? formatSize(sourceBytes) : formatSize(storedBytes);
  const rest = [
    ...(counts.present > 0 ? [`${counts.present} there already`] : []),
    ...(counts.damaged > 0 ? [`${counts.damaged} damaged`] : []),
  ];
  output.line([`${source.label} to ${destination.label}: ${done}`, ...rest, `${blobs} blobs, ${size}`].join(', '));
}
