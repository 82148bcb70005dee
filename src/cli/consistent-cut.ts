/** A backup's consistent cut on the engine at hand: planned, told of, carried out, and undone whatever happens. */
import { hostname } from 'node:os';
import type { Configuration, CutWay, Hooks, VolumeConfiguration } from '../control/configuration/configuration.ts';
import { type Cut, createCut } from '../control/cut/cut.ts';
import { askHalting } from '../control/cut/halting.ts';
import { dumpFolderOf, type Journal, reachNames, removeJournal, writeJournal } from '../control/cut/journal.ts';
import { type CutPlan, planCut, type VolumeOfCut } from '../control/cut/plan.ts';
import { runHook, runHooks } from '../control/hooks/hooks.ts';
import { askApplications, dumpApplications, heldApplications } from '../control/recipes/prepare.ts';
import type { VolumeToBackUp } from '../engine/backup/read-volume.ts';
import { errorDocument, HoldfastError } from '../model/errors.ts';
import type { Consistency } from '../model/snapshot.ts';
import type { Containers } from '../platform/containers.ts';
import type { Inventory, PlatformVolume } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';
import { prepareSqlite } from './sqlite-copies.ts';
import { wakefulClock } from './wakeful-clock.ts';

export type CutSettings = {
  /** Instead of what the configuration says, for all volumes. */
  way: CutWay | 'auto' | undefined;
  stopTimeoutMs: number;
  healthTimeoutMs: number;
  maxDowntimeMs: number;
};

export type ConsistentCutOptions = {
  context: Pick<CommandContext<unknown>, 'output' | 'signal' | 'environment' | 'global'>;
  configuration: Configuration;
  chosen: readonly VolumeConfiguration[];
  volumes: readonly VolumeToBackUp[];
  run: string;
  dryRun: boolean;
  settings: CutSettings;
  stateFolder: string;
  containers: Containers | undefined;
};

/** What a backup does in a cut. */
export type OpenCut = {
  /** Undefined where nothing is known of what uses the volumes: they are read live. */
  cut: Cut | undefined;
  /** Whether something is halted meanwhile, so that a pass before it is worth its time. */
  halts: boolean;
  /** Whether what is halted keeps running in the middle of something: paused. */
  pauses: boolean;
  /** Lets applications write out what they hold. */
  prepare(volumes: readonly VolumeToBackUp[]): Promise<PreparedVolumes>;
};

/** The volumes as they are to be read now, whether any failed, and grades that are known already. */
export type PreparedVolumes = { volumes: VolumeToBackUp[]; failed: boolean; grades: ReadonlyMap<string, Consistency> };

/**
 * Runs hooks and plans a cut around some work, which carries it out. Whatever the work does, containers come back and the hooks that were to come
 * are run.
 * @returns what the work returns, and whether all went well around it. @throws what the work and the hooks of `before` throw.
 */
export async function withConsistentCut<Result>(
  options: ConsistentCutOptions,
  work: (open: OpenCut) => Promise<{ result: Result; failed: boolean }>,
): Promise<{ result: Result; failed: boolean }> {
  const { configuration, containers, run, stateFolder, dryRun, context } = options;
  const { output, signal } = context;
  if (dryRun) return work(await openCut(options));
  const { hooks, project } = configuration;
  const journal: Omit<Journal, 'groups'> = { run, project, reach: reachOf(context), hooks };
  const guarded = hooks.after.length + hooks.onError.length > 0;
  if (guarded) await writeJournal(stateFolder, { ...journal, groups: [] });
  let open: OpenCut | undefined;
  let failed = true;
  const complain = (error: HoldfastError) => {
    failed = true;
    output.report({ event: 'error', error: errorDocument(error) });
  };
  let outcome: { result: Result } | { thrown: unknown };
  try {
    const inventory = hooks.before.length > 0 ? await containers?.inventory(signal) : undefined;
    for (const hook of hooks.before) await runHook(hook, { containers, inventory, project, signal });
    open = await openCut(options, journal);
    const done = await work(open);
    failed = done.failed;
    outcome = { result: done.result };
  } catch (thrown) {
    outcome = { thrown };
  }
  const finished = await open?.cut?.finish();
  for (const error of finished?.failures ?? []) complain(error);
  if (finished !== undefined && finished.downtimes.length > 0) output.report({ event: 'cut-finished', containers: finished.downtimes });
  for (const error of await runLastHooks(options, hooks, failed)) complain(error);
  // What did not come back is tried again by the next run.
  if (finished?.isBack !== false) await removeJournal(stateFolder, run);
  if ('thrown' in outcome) throw outcome.thrown;
  return { result: outcome.result, failed };
}

/** An interruption doesn't keep them from running. */
async function runLastHooks(
  { containers, configuration: { project } }: ConsistentCutOptions,
  hooks: Hooks,
  failed: boolean,
): Promise<HoldfastError[]> {
  const last = [...(failed ? hooks.onError : []), ...hooks.after];
  if (last.length === 0) return [];
  const inventory = await containers?.inventory().catch(() => undefined);
  return runHooks(last, { containers, inventory, project, signal: new AbortController().signal });
}

async function openCut(options: ConsistentCutOptions, journal?: Omit<Journal, 'groups'>): Promise<OpenCut> {
  const { containers, context, settings, stateFolder, run } = options;
  const { output, signal } = context;
  const asTheyAre: OpenCut['prepare'] = async (all) => ({ volumes: [...all], failed: false, grades: new Map() });
  const live: OpenCut = { cut: undefined, halts: false, pauses: false, prepare: asTheyAre };
  const copySqlite = (all: readonly VolumeToBackUp[], wayOf: (volume: string) => CutWay) =>
    prepareSqlite(all, { ...options, wayOf, begin: async () => journal && writeJournal(stateFolder, { ...journal, groups: [] }) });
  if (containers === undefined) {
    refuseWithoutEngine(options);
    if (journal === undefined) return live;
    return { ...live, prepare: async (all) => ({ failed: false, ...(await copySqlite(all, (name) => wayWithoutEngine(options, name))) }) };
  }
  const applications = { containers, clock: wakefulClock, signal };
  const inventory = await containers.inventory(signal);
  const wanted = volumesOfCut(options, inventory);
  const facts = await askApplications(inventory, wanted, hostname(), applications);
  const plan = planCut(inventory, wanted, facts, await askHalting(inventory, wanted, containers));
  tell(plan, output);
  if (journal === undefined) return live;
  const dumps = plan.volumes.some(({ way }) => way === 'dump');
  return {
    halts: plan.halts.length > 0,
    pauses: plan.halts.flat().some(({ action }) => action === 'pause'),
    cut: createCut({
      ...settings,
      ...applications,
      plan,
      volumes: wanted,
      applications: heldApplications(plan, facts, applications),
      stateFolder,
      journal,
      nowMs: () => performance.now(),
    }),
    async prepare(all) {
      if (dumps) await writeJournal(stateFolder, { ...journal, groups: [] });
      const dump = dumps ? await dumpApplications(plan, dumpFolderOf(stateFolder, run), applications) : new Map();
      const { volumes, failed } = dumped(all, dump, output);
      const isIdle = (name: string) => plan.volumes.some((volume) => volume.name === name && volume.known && volume.writers.length === 0);
      const wayOf = (name: string) => plan.volumes.find((volume) => volume.name === name)?.way ?? 'live';
      return { failed, ...(await copySqlite(volumes, (name) => (isIdle(name) ? 'stop' : wayOf(name)))) };
    },
  };
}

/** Who asks for more than a live read is not given less in silence. */
function refuseWithoutEngine({ chosen, volumes, settings }: ConsistentCutOptions): void {
  const isSqlite = ({ name, app, cut }: VolumeConfiguration) =>
    app === 'sqlite' && (settings.way ?? cut) === 'dump' && volumes.find((volume) => volume.name === name)?.stream === undefined;
  const asking = chosen.find((volume) => !['auto', 'live'].includes(settings.way ?? volume.cut) && !isSqlite(volume));
  if (asking === undefined) return;
  throw new HoldfastError(
    'engine-unreachable',
    `volume ${asking.name}: "${settings.way ?? asking.cut}" needs a Docker Engine, and there is none here`,
    {
      volume: asking.name,
    },
  );
}

/** SQLite needs no engine. */
function wayWithoutEngine({ chosen, settings }: ConsistentCutOptions, name: string): CutWay {
  const volume = chosen.find((candidate) => candidate.name === name);
  const way = settings.way ?? volume?.cut ?? 'auto';
  return way === 'auto' && volume?.app === 'sqlite' ? 'dump' : way === 'auto' ? 'live' : way;
}

/** Volumes with what is read instead of them; one whose dump failed is told of, and left out. */
function dumped(
  volumes: readonly VolumeToBackUp[],
  dumps: ReadonlyMap<string, string | undefined | HoldfastError>,
  output: CommandContext['output'],
): { volumes: VolumeToBackUp[]; failed: boolean } {
  const kept: VolumeToBackUp[] = [];
  for (const volume of volumes) {
    const dump = dumps.get(volume.name);
    if (dump instanceof HoldfastError) {
      output.report({ event: 'error', error: errorDocument(dump) });
    } else if (dump === undefined) {
      // Redis writes a dump aside before it takes its place.
      const ignored = dumps.has(volume.name) ? ['/temp-*.rdb'] : [];
      kept.push({ ...volume, excludes: { ...volume.excludes, ignorePatterns: [...(volume.excludes.ignorePatterns ?? []), ...ignored] } });
    } else {
      const { stream: _, ...rest } = volume;
      kept.push({ ...rest, directory: dump, warmPass: undefined });
    }
  }
  return { volumes: kept, failed: kept.length < volumes.length };
}

function tell({ volumes, halts }: CutPlan, output: CommandContext['output']): void {
  output.report({
    event: 'cut-planned',
    volumes: volumes.map(({ name, way, reason, writers }) => ({
      volume: name,
      way,
      reason,
      containers: writers.map((writer) => writer.name),
    })),
    halts: halts.map((group) => group.map(({ container, action }) => ({ container: container.name, action }))),
  });
}

function volumesOfCut({ configuration, chosen, volumes, settings }: ConsistentCutOptions, inventory: Inventory): VolumeOfCut[] {
  return volumes.map(({ name, directory, stream }) => {
    const volume = chosen.find((candidate) => candidate.name === name) as VolumeConfiguration;
    const engineVolume =
      volume.source.kind === 'directory' ? undefined : engineVolumeOf(inventory.volumes, configuration.project, volume, directory);
    return { name, engineVolume, directory, streamed: stream !== undefined, app: volume.app, way: settings.way ?? volume.cut };
  });
}

function engineVolumeOf(
  volumes: readonly PlatformVolume[],
  project: string,
  { name, source }: VolumeConfiguration,
  directory: string,
): string | undefined {
  const found =
    (source.kind === 'docker' ? volumes.find((volume) => volume.name === source.volume) : undefined) ??
    volumes.find(({ mountPoint, name: own }) => mountPoint === directory || own === directory) ??
    volumes.find((volume) => volume.project === project && volume.key === name) ??
    volumes.find((volume) => volume.name === `${project}_${name}`);
  return found?.name;
}

function reachOf({ environment, global }: ConsistentCutOptions['context']): Record<string, string> {
  const given: NodeJS.ProcessEnv = { ...environment, ...(global.dockerHost === undefined ? {} : { DOCKER_HOST: global.dockerHost }) };
  return Object.fromEntries(
    reachNames.flatMap((name) => {
      const value = given[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Whether any volume needs an engine to be asked what uses it. Plain directories are read live unless asked otherwise. */
export const wantsEngine = ({ hooks }: Configuration, chosen: readonly VolumeConfiguration[], way: CutSettings['way']): boolean =>
  chosen.some(({ source, cut }) => source.kind === 'by-name' || source.kind === 'docker' || !['auto', 'live'].includes(way ?? cut)) ||
  Object.values(hooks)
    .flat()
    .some((hook) => hook.in !== undefined);
