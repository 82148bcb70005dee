/**
 * The steps of a migration of one Docker volume to another one, of the same Engine or of another: by a snapshot in the repository, so that what was
 * sent is sent once, whatever is interrupted, and everything that arrives is verified. The source is only read.
 */
import { type HaltWay, planVolumeMigration, type VolumeMigrationPlan } from '../control/migration/plan-volume-migration.ts';
import { carryOnSteps, type StepActions } from '../control/migration/steps.ts';
import {
  readVolumeJournal,
  removeVolumeJournal,
  type VolumeJournal,
  type VolumeStep,
  volumeSteps,
  writeVolumeJournal,
} from '../control/migration/volume-journal.ts';
import { refuseTooLittleSpace } from '../control/restoring/plan-restore.ts';
import { type ContainerStep, oneByOne, refuseTransient, startAll, stopAll } from '../control/restoring/start-again.ts';
import { restoreMarkerName } from '../engine/restore/marker.ts';
import { HoldfastError } from '../model/errors.ts';
import type { PlatformVolume } from '../platform/platform.ts';
import { findById, listSnapshots } from '../repository/snapshots.ts';
import type { CommandContext } from './command.ts';
import { connectDocker, type DockerAccess, type Reached, reach } from './docker-access.ts';
import { beforeRestoreTag, type GuardedVolume, type GuardOptions, streamedVolume, takeGuard } from './guard-snapshots.ts';
import { findProject } from './project.ts';
import { hasMarker, isEmptyDirectory } from './restore-guard.ts';
import { restoreSnapshots } from './restore-snapshots.ts';
import { spaceOf } from './restore-targets.ts';
import { type Session, withRepository } from './session.ts';
import { stateFolder } from './state-folder.ts';

type Context = CommandContext<unknown>;
type OnStep = (step: VolumeStep) => void;

/** Both ends of a migration; the same object when both are volumes of one Engine. */
export type Ends = { from: DockerAccess; to: DockerAccess };

export type VolumeMigrationOptions = {
  source: string;
  target: string;
  /** Address or context of the target's Engine; that of the source without them. */
  toDockerHost?: string | undefined;
  toContext?: string | undefined;
  way: HaltWay;
  leaveStopped: boolean;
  /** Whether what is in the target may be replaced. */
  replace: boolean;
  healthTimeoutMs: number;
};

const lanes = 2;
/** Of snapshots of the source and of what was in a target, beside `class=guard`. */
const migrationTag = 'migration';

/** Connects to both Engines for some work. @throws as `connectDocker`. */
export async function withEnds<Result>(
  context: Context,
  { toDockerHost, toContext }: VolumeMigrationOptions,
  work: (ends: Ends) => Promise<Result>,
): Promise<Result> {
  const from = (await connectDocker(context, 'required')) as DockerAccess;
  let to = from;
  try {
    if (toDockerHost !== undefined || toContext !== undefined) {
      const { dockerHost: _, ...global } = context.global;
      const environment =
        toContext === undefined ? context.environment : { ...context.environment, DOCKER_HOST: undefined, DOCKER_CONTEXT: toContext };
      const elsewhere = { environment, global: toDockerHost === undefined ? global : { ...global, dockerHost: toDockerHost } };
      to = (await connectDocker(elsewhere, 'required')) as DockerAccess;
      if ((await to.identity()) === (await from.identity())) {
        await to.close();
        to = from;
      }
    }
    return await work({ from, to });
  } finally {
    await from.close();
    if (to !== from) await to.close();
  }
}

const placeOf = async (access: DockerAccess, volume: string) => ({
  engine: await access.identity(),
  location: access.containers.location,
  volume,
});
const placesOf = async ({ from, to }: Ends, { source, target }: Pick<VolumeMigrationOptions, 'source' | 'target'>) => ({
  source: await placeOf(from, source),
  target: await placeOf(to, target),
});

/** That of a migration between the two that has begun, if there is one. */
export async function findJournal(
  { environment }: Context,
  ends: Ends,
  options: VolumeMigrationOptions,
): Promise<VolumeJournal | undefined> {
  const { source, target } = await placesOf(ends, options);
  return readVolumeJournal(stateFolder(environment), source, target);
}

export type FoundVolumeMigration = VolumeMigrationPlan & { holdsSomething: boolean };

/** Looks only. @throws as `planVolumeMigration`; `volume-in-use` for a target that holds something, unless it may be replaced. */
export async function findVolumeMigration({ signal }: Context, ends: Ends, options: VolumeMigrationOptions): Promise<FoundVolumeMigration> {
  const inventory = await ends.from.containers.inventory(signal);
  const targetInventory = ends.to === ends.from ? inventory : await ends.to.containers.inventory(signal);
  const plan = planVolumeMigration({ ...options, inventory, targetInventory });
  if (options.way === 'stop') await refuseTransient(ends.from.containers, inventory, plan.halt);
  const holdsSomething = plan.target !== undefined && !(await isEmpty(await reach(ends.to, plan.target), options.target, signal));
  if (holdsSomething && !options.replace) throw notEmpty(options.target);
  return { ...plan, holdsSomething };
}

const notEmpty = (target: string) =>
  new HoldfastError('volume-in-use', `the target ${target} holds something`, {
    volume: target,
    remedy: 'give another name, or replace what it holds, behind a guard snapshot, with --replace',
  });

const isEmpty = async ({ directory, stream }: Reached, volume: string, signal: AbortSignal): Promise<boolean> =>
  stream === undefined ? isEmptyDirectory(volume, directory) : stream.isEmpty(signal);

/** Notes durably what will be done. Nothing else has changed when it returns. */
export async function beginVolumeMigration(
  { environment }: Context,
  ends: Ends,
  plan: FoundVolumeMigration,
  { way, leaveStopped, ...names }: VolumeMigrationOptions,
): Promise<VolumeJournal> {
  const journal: VolumeJournal = {
    ...(await placesOf(ends, names)),
    ...{ pid: process.pid, done: undefined, way, leaveStopped, halted: plan.halt },
    ...(plan.make === undefined ? {} : { make: plan.make }),
  };
  await writeVolumeJournal(stateFolder(environment), journal);
  return journal;
}

type Work = { context: Context; ends: Ends; session: Session; healthTimeoutMs: number };

/**
 * @returns the journal of a migration that is complete, which is forgotten. @throws what a step throws: as long as only the source was read, its
 * containers are back and nothing is left of it; after that, run again, it goes on with that step.
 */
export async function continueVolumeMigration(
  context: Context,
  ends: Ends,
  begun: VolumeJournal,
  healthTimeoutMs: number,
  onStep: OnStep,
): Promise<VolumeJournal> {
  const folder = stateFolder(context.environment);
  // From now on it is this process that works on it.
  await writeVolumeJournal(folder, begun);
  let journal = begun;
  const write = async (now: VolumeJournal) => {
    journal = now;
    await writeVolumeJournal(folder, now);
  };
  try {
    const done = await withRepository(context, await findProject(context), 'shared', (session) =>
      carryOnSteps({ steps: volumeSteps, begun, write, onStep, actions: actionsOf({ context, ends, session, healthTimeoutMs }) }),
    );
    await removeVolumeJournal(folder, done);
    return done;
  } catch (error) {
    if (journal.done !== undefined && volumeSteps.indexOf(journal.done) >= volumeSteps.indexOf('save')) throw error;
    await resume({ context, ends }, { ...journal, leaveStopped: false }, healthTimeoutMs, new AbortController().signal).catch(
      (problem: unknown) => context.output.warning((problem as Error).message),
    );
    await removeVolumeJournal(folder, journal);
    throw error;
  }
}

function actionsOf({ context, ends, session, healthTimeoutMs }: Work): StepActions<VolumeStep, VolumeJournal> {
  const { signal, report } = { signal: session.signal, report: context.output.report };
  return {
    async halt({ way, halted }) {
      const { containers } = ends.from;
      if (way === 'stop') await stopAll({ containers, signal, onStep: tellContainer(context) }, oneByOne(halted));
      for (const { id, name } of way === 'pause' ? halted : []) {
        await containers.pause(id);
        context.output.note(`${name}: paused`);
      }
      return {};
    },
    async save({ way, halted, source }) {
      const volume = await volumeOf(ends.from, source.volume);
      const consistency =
        way === 'live' ? ('crash' as const) : way === 'pause' && halted.length > 0 ? ('paused' as const) : ('stopped' as const);
      const saved = await save(session, ends.from, volume, { consistency, report, tags: [] });
      return { saved: saved.snapshot };
    },
    async resume(journal) {
      await resume({ context, ends }, journal, healthTimeoutMs, signal);
      return {};
    },
    async guard({ target, guard }) {
      const volume = (await ends.to.containers.inventory(signal)).volumes.find(({ name }) => name === target.volume);
      // Taken before, or nothing is there.
      if (guard !== undefined || volume === undefined) return {};
      const reached = await reach(ends.to, volume);
      if ((await isEmpty(reached, target.volume, signal)) || (await holdsMarker(reached))) return {};
      return { guard: await save(session, ends.to, volume, { consistency: 'stopped', report, tags: [beforeRestoreTag] }) };
    },
    async make({ make, saved, target }) {
      if (make !== undefined) {
        const there = (await ends.to.containers.inventory(signal)).volumes.find(({ name }) => name === target.volume);
        if (there !== undefined && !(await isEmpty(await reach(ends.to, there), target.volume, signal))) throw notEmpty(target.volume);
        await ends.to.volumes.create(make);
      }
      await refuseWhatCannotFit(session, ends.to, target.volume, saved as string);
      return {};
    },
    async copy({ saved, target }) {
      const volume = await volumeOf(ends.to, target.volume);
      const copy = { volume: target.volume, id: saved as string, ...(await reach(ends.to, volume)) };
      const { warnings } = await restoreSnapshots(session, [copy], { lanes, report });
      return warnings === 0 ? {} : { lost: true };
    },
  };
}

const tellContainer =
  ({ output }: Context) =>
  ({ step, container }: ContainerStep) =>
    output.note(`${container}: ${step}`);

const holdsMarker = async ({ directory, stream }: Reached): Promise<boolean> =>
  stream === undefined ? hasMarker(directory) : (await stream.kindOf(restoreMarkerName)) !== undefined;

async function resume(
  { context, ends }: Pick<Work, 'context' | 'ends'>,
  { way, halted, leaveStopped }: VolumeJournal,
  healthTimeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { containers } = ends.from;
  for (const { id, name } of way === 'pause' ? halted.toReversed() : []) {
    if ((await containers.inspect(id)) === undefined) continue;
    await containers.unpause(id);
    context.output.note(`${name}: resumed`);
  }
  if (way === 'stop' && !leaveStopped) await startAll({ containers, signal, onStep: tellContainer(context) }, halted, healthTimeoutMs);
}

async function volumeOf({ containers }: DockerAccess, wanted: string): Promise<PlatformVolume> {
  const volume = (await containers.inventory()).volumes.find(({ name }) => name === wanted);
  if (volume === undefined) throw new HoldfastError('volume-missing', `the Docker volume ${wanted} is gone`, { volume: wanted });
  return volume;
}

/** As one of its project, where it is one: a backup of before makes that quick. */
async function save(
  session: Session,
  access: DockerAccess,
  volume: PlatformVolume,
  { tags, ...how }: Pick<GuardOptions, 'consistency' | 'report' | 'tags'>,
): Promise<{ run: string; snapshot: string }> {
  const { directory, stream } = await reach(access, volume);
  const name = volume.project !== undefined && volume.key !== undefined ? volume.key : volume.name;
  const content: GuardedVolume = stream === undefined ? { name, directory } : streamedVolume(name, volume.name, stream);
  const { run, snapshots } = await takeGuard(session, {
    ...how,
    project: volume.project ?? 'holdfast',
    volumes: [content],
    tags: [migrationTag, ...tags],
    lanes,
  });
  return { run, snapshot: snapshots[0]?.id as string };
}

/** Only of a directory is known how much room there is. */
async function refuseWhatCannotFit({ repository }: Session, access: DockerAccess, target: string, saved: string): Promise<void> {
  const directory = await access.directoryOf(await volumeOf(access, target));
  const neededBytes = findById(await listSnapshots(repository, () => undefined), saved).summary?.totalBytesProcessed;
  const space = directory === undefined ? undefined : await spaceOf(directory);
  if (directory === undefined || space === undefined || neededBytes === undefined || !isEmptyDirectory(target, directory)) return;
  refuseTooLittleSpace([{ volume: target, directory, neededBytes, presentBytes: 0, ...space }]);
}

/** Back to what was before: containers run, a target that was made goes, and one that was replaced gets back what it held. */
export async function undoVolumeMigration(context: Context, ends: Ends, journal: VolumeJournal, healthTimeoutMs: number): Promise<void> {
  const { target, guard, make } = journal;
  const folder = stateFolder(context.environment);
  await writeVolumeJournal(folder, journal);
  await resume({ context, ends }, { ...journal, leaveStopped: false }, healthTimeoutMs, context.signal);
  if (make !== undefined) await removeMade(ends.to, journal, context.signal);
  if (guard !== undefined) {
    const reached = await reach(ends.to, await volumeOf(ends.to, target.volume));
    await withRepository(context, await findProject(context), 'shared', (session) =>
      restoreSnapshots(session, [{ volume: target.volume, id: guard.snapshot, ...reached }], { lanes, report: context.output.report }),
    );
  }
  await removeVolumeJournal(folder, journal);
}

/** One that somebody else has made and filled meanwhile is theirs. */
async function removeMade(access: DockerAccess, { target, done }: VolumeJournal, signal: AbortSignal): Promise<void> {
  const volume = (await access.containers.inventory(signal)).volumes.find(({ name }) => name === target.volume);
  if (volume === undefined) return;
  const isOurs = done === 'make' || done === 'copy';
  if (!isOurs && !(done === 'guard' && (await isEmpty(await reach(access, volume), target.volume, signal)))) return;
  await access.closeWriterOf(target.volume);
  await access.volumes.remove(target.volume);
}
