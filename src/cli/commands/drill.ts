import { resolve } from 'node:path';
import type { Configuration } from '../../control/configuration/configuration.ts';
import type { DrilledEvent } from '../../control/jobs/job-events.ts';
import { judgeEvidence } from '../../control/objectives/judge-evidence.ts';
import type { LanePool, WarmLanes } from '../../engine/lanes/pool.ts';
import { restoreVolume } from '../../engine/restore/restore.ts';
import { exitCodes, HoldfastError, isOfContent } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { chooseScratch, makeScratch, removeLeftScratch, type Scratch, scratchCandidates } from '../drill-scratch.ts';
import { completedConfiguration } from '../labelled-project.ts';
import { configureLanes, type LaneBudget, type LaneOptions, parseLanes } from '../lane-options.ts';
import { displayText } from '../output/text.ts';
import { requireProject, selectVolumes } from '../project.ts';
import { type MadeDrill, recordDrill } from '../record-drill.ts';
import { evidenceOfSnapshots } from '../repository-evidence.ts';
import { type Session, withRepository, withWarmLanes } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = LaneOptions & { scratch?: string; dryRun?: boolean; lock: boolean };
type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[volume...]', 'volumes to bring back; all when none is named')
      .option('--scratch <directory>', 'restore into a folder of this one (default: of a temporary folder with room)')
      .option('-n, --dry-run', 'restore nothing; say what would be')
      .option('--no-lock', 'write no lock: for a repository that cannot be written, while nobody prunes it');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nThe newest good snapshot of each volume is restored, read back and compared, timed, and removed again, one volume after the other. Exit code 1 when anything is not as it was.',
    );
  },

  async run(context) {
    const configuration = await completedConfiguration(context, await requireProject(context));
    const volumes = (await selectVolumes(configuration, context.operands)).map(({ name }) => name);
    const budget = parseLanes(context.options);
    return withWarmLanes('restore', budget.lanes, (warm) =>
      withRepository(context, configuration, context.options.dryRun || !context.options.lock ? 'none' : 'shared', (session) =>
        drill(context, session, { configuration, volumes, budget }, warm),
      ),
    );
  },
};

type Wanted = { configuration: Configuration; volumes: readonly string[]; budget: LaneBudget };

async function drill(context: Context, session: Session, wanted: Wanted, warm: WarmLanes): Promise<number> {
  const { output, options, cwd, environment } = context;
  const startedMs = systemClock.now().getTime();
  const beganMs = performance.now();
  const { repository, address } = session;
  const snapshots = await listSnapshots(repository, (name) => output.warning(`the snapshot file ${name} is damaged`));
  const chosen = chooseGood(context, session, snapshots, wanted);
  const parents = options.scratch === undefined ? scratchCandidates(environment) : [resolve(cwd, options.scratch)];
  if (!options.dryRun) for (const parent of parents) tellOfLeft(context, removeLeftScratch(parent, systemClock.now().getTime()));
  const largest = chosen.toSorted((a, b) => sizeOf(b.snapshot) - sizeOf(a.snapshot))[0];
  const parent = largest && chooseScratch(parents, sizeOf(largest.snapshot), largest.volume);
  let exitCode: number = chosen.length === wanted.volumes.length ? exitCodes.done : exitCodes.failed;
  if (options.dryRun) {
    for (const { volume, snapshot } of chosen)
      output.line(
        `${displayText(volume)}: would restore ${shortId(snapshot.id)} (${formatSize(sizeOf(snapshot))}) into ${displayText(parent ?? '')}`,
      );
    for (const { volume, snapshot } of chosen) output.document({ volume, snapshot: snapshot.id, scratch: parent, dryRun: true });
    return exitCode;
  }
  output.report({ event: 'run-started', operation: 'drill', run: '', volumes: chosen.map(({ volume }) => volume) });
  if (parent !== undefined) {
    const index = await loadIndex(repository);
    const { config, masterKey } = repository;
    const pool = warm.start({ job: 'restore', address, config, masterKey, index: index.memory, settings: undefined }, () => undefined);
    const scratch = makeScratch(parent);
    const drills: DrilledEvent[] = [];
    try {
      for (const one of chosen) {
        const drilled = await bringBack(context, session, one, { index, pool, scratch });
        if (!drilled.verified) exitCode = exitCodes.failed;
        drills.push(drilled);
        tell(context, drilled);
      }
      record(context, session, wanted, { startedMs, drilled: drills, exitCode });
    } finally {
      await pool.close();
      scratch.remove();
    }
  }
  output.report({ event: 'run-finished', operation: 'drill', run: '', durationMs: Math.round(performance.now() - beganMs), exitCode });
  return exitCode;
}

/** That it cannot be recorded says nothing of the drill. */
function record(
  { output, environment }: Context,
  { label }: Session,
  { configuration }: Wanted,
  made: Omit<MadeDrill, 'repository' | 'endedMs'>,
): void {
  try {
    recordDrill(configuration, environment, { ...made, repository: label, endedMs: systemClock.now().getTime() });
  } catch (error) {
    output.note(`the daemon was not told of the drill: ${displayText(error instanceof Error ? error.message : String(error))}`);
  }
}

type Chosen = { volume: string; snapshot: StoredSnapshot };
const sizeOf = ({ summary }: StoredSnapshot): number => summary?.totalBytesProcessed ?? 0;

/** The newest good snapshot of each volume, as `holdfast status` judges; where none is good, the newest. */
function chooseGood({ output }: Context, { label }: Session, snapshots: readonly StoredSnapshot[], wanted: Wanted): Chosen[] {
  const { configuration, volumes } = wanted;
  const byId = new Map(snapshots.map((snapshot) => [snapshot.id as string, snapshot]));
  const byVolume = Map.groupBy(evidenceOfSnapshots(snapshots, label, configuration.project), ({ volume }) => volume);
  const nowMs = systemClock.now().getTime();
  return volumes.flatMap((name) => {
    const volume = configuration.volumes.find((one) => one.name === name);
    const judged = volume === undefined ? [] : judgeEvidence(byVolume.get(name) ?? [], volume, new Map(), nowMs);
    const newest = judged.at(-1);
    const good = judged.findLast(({ fault }) => fault === undefined) ?? newest;
    const snapshot = good && byId.get(good.snapshot.id);
    if (newest === undefined || good === undefined || snapshot === undefined) {
      output.warning(`${displayText(name)}: there is no snapshot of it to bring back: run \`holdfast backup\``);
      return [];
    }
    if (good.fault !== undefined) output.warning(`${displayText(name)}: no snapshot of it is good; the newest is ${good.fault}`);
    else if (good !== newest) output.note(`${displayText(name)}: the newest snapshot is passed over, it is ${newest.fault}`);
    return [{ volume: name, snapshot }];
  });
}

function tellOfLeft({ output }: Context, folders: readonly string[]): void {
  for (const folder of folders) output.note(`removed ${displayText(folder)}, which a drill that was killed had left`);
}

type Means = { index: BlobIndex; pool: LanePool; scratch: Scratch };

async function bringBack(
  { output }: Context,
  { repository, signal }: Session,
  { volume, snapshot }: Chosen,
  { index, pool, scratch }: Means,
): Promise<DrilledEvent> {
  const target = scratch.place('volume');
  const startedMs = performance.now();
  const outcome: Pick<DrilledEvent, 'bytes' | 'files' | 'verified' | 'readBackMs'> = {
    bytes: sizeOf(snapshot),
    files: snapshot.summary?.totalFilesProcessed ?? 0,
    verified: false,
  };
  try {
    const result = await restoreVolume({
      ...{ repository, index, snapshot, volume, target, signal, lanes: pool },
      overwrite: 'always',
      delete: false,
      verify: true,
      dryRun: false,
      // Where it went is gone when somebody could look.
      report: (event) => event.event === 'restored' || output.report(event),
    });
    outcome.bytes = result.bytesTotal;
    outcome.files = result.filesTotal;
    outcome.verified = result.verified && result.problems === 0;
    if (result.readBackMs !== undefined) outcome.readBackMs = result.readBackMs;
  } catch (error) {
    // Damage is what a drill is to find; the other volumes are brought back all the same.
    if (!(error instanceof HoldfastError) || !isOfContent(error)) throw error;
    output.error(error);
  } finally {
    scratch.clear(target);
  }
  return { event: 'drilled', volume, snapshot: snapshot.id, ...outcome, durationMs: Math.round(performance.now() - startedMs) };
}

function tell({ output }: Context, drilled: DrilledEvent): void {
  const { volume, snapshot, bytes, files, durationMs, readBackMs = 0, verified } = drilled;
  const { style } = output;
  output.document(drilled);
  const verdict = verified ? style.good('as it was') : style.bad('NOT as it was');
  output.line(
    `${displayText(volume)}: ${shortId(snapshot)} brought back, ${verdict}: ${files} files, ${formatSize(bytes)} in ${formatDuration(durationMs - readBackMs)}, and ${formatDuration(readBackMs)} to read it back`,
  );
}
