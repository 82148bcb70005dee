/** Carries out a cut: halts what its plan names, and brings it back, whatever happens in between. */
import type { VolumeCut } from '../../engine/backup/snapshot-of.ts';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Consistency } from '../../model/snapshot.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Inventory } from '../../platform/platform.ts';
import type { HeldApplication } from '../recipes/prepare.ts';
import { comeBack } from './come-back.ts';
import { findJournals, type Journal, type JournalEntry, writeJournal } from './journal.ts';
import { isAwaitedHealthy } from './order.ts';
import { type CutPlan, type Halt, type PlannedVolume, type VolumeOfCut, writersOf } from './plan.ts';
import { createScaler } from './scaler.ts';
import { serviceIdOf } from './stoppable.ts';

export type CutOptions = {
  containers: Containers;
  plan: CutPlan;
  volumes: readonly VolumeOfCut[];
  /** Those that let writes wait while they are halted. */
  applications: readonly HeldApplication[];
  stateFolder: string;
  journal: Omit<Journal, 'groups'>;
  /** How long containers that don't say so themselves have to stop before they are killed. */
  stopTimeoutMs: number;
  healthTimeoutMs: number;
  /** They come back after that, though not everything is read: the grade is `crash` then. */
  maxDowntimeMs: number;
  clock: Clock;
  nowMs: () => number;
  signal: AbortSignal;
};

export type CutResult = {
  /** Of each container that was halted, longest first. */
  downtimes: { container: string; action: Halt['action']; downtimeMs: number }[];
  failures: HoldfastError[];
  /** Whether all that was halted runs again, healthy or not: only then the journal can go. */
  isBack: boolean;
};

export type Cut = {
  /** For `BackupOptions.cut`. What fails is in the result; the volumes are read all the same, as `crash`. */
  begin(): Promise<void>;
  end(): Promise<ReadonlyMap<string, VolumeCut>>;
  /** Brings everything back if `end` wasn't called, and waits for health. Call it whatever happened. */
  finish(): Promise<CutResult>;
};

/** Node's timers take no more: what is longer would be no time at all. */
const longestTimerMs = 2 ** 31 - 1;

type Halted = { halt: Halt; sinceMs: number; untilMs: number | undefined };

export function createCut(options: CutOptions): Cut {
  const { containers, plan, signal, nowMs } = options;
  const halted = new Map<string, Halted>();
  const failures: HoldfastError[] = [];
  let health: Promise<HoldfastError[]> | undefined;
  let lost = 0;
  /** Why the cut is not what was planned. */
  let broken = false;
  let back: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const scaler = createScaler(options);
  const entryOf = (halt: Halt): JournalEntry =>
    halt.action === 'scale' ? scaler.entryOf(halt.service) : entryOfContainer(halt, options.stopTimeoutMs);
  /** All tasks of a service have the same. */
  const entriesOf = (group: readonly Halt[]): JournalEntry[] => [...new Map(group.map(entryOf).map((entry) => [entry.id, entry])).values()];

  const bringBack = (): Promise<void> => {
    back ??= bringBackNow();
    return back;
  };

  const onAbort = () => void bringBack();

  async function bringBackNow(): Promise<void> {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    await halting.catch(() => undefined);
    const groups = plan.halts.map((group) => entriesOf(group.filter(({ container }) => halted.has(container.id))));
    const all = [...halted.values()].map(({ halt }) => halt.container);
    const result = await comeBack(groups, {
      ...options,
      isAwaited: (id) => all.some((container) => container.id === id && isAwaitedHealthy(container, all)),
      onBack: (id) => {
        for (const entry of halted.values()) if (entryOf(entry.halt).id === id) entry.untilMs = nowMs();
      },
    });
    failures.push(...result.failures);
    lost = result.failures.length;
    health = result.health;
    await Promise.all(options.applications.map((application) => application.release().catch(() => undefined)));
  }

  let halting: Promise<void> = Promise.resolve();

  async function haltAll(): Promise<void> {
    await refuseOthers(options);
    await scaler.look(plan.halts.flat());
    await writeJournal(options.stateFolder, { ...options.journal, groups: plan.halts.map(entriesOf) });
    await refuseOthers(options);
    timer = setTimeout(
      () => {
        broken = true;
        failures.push(tooLong(options.maxDowntimeMs));
        void bringBack();
      },
      Math.min(options.maxDowntimeMs, longestTimerMs),
    );
    signal.addEventListener('abort', onAbort);
    const startedMs = nowMs();
    await Promise.all(options.applications.map((application) => application.hold()));
    for (const group of plan.halts) {
      const results = await Promise.allSettled(group.map((halt) => haltOne(halt, startedMs)));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      if (signal.aborted || broken) return;
    }
  }

  async function haltOne(halt: Halt, startedMs: number): Promise<void> {
    const { id } = halt.container;
    const held = options.applications.some((application) => application.container === id);
    halted.set(id, { halt, sinceMs: held ? startedMs : nowMs(), untilMs: undefined });
    if (halt.action === 'scale') await scaler.scaleDown(halt);
    else if (halt.action === 'pause') await containers.pause(id);
    else await containers.stop(id, { timeoutMs: halt.timeoutMs ?? options.stopTimeoutMs });
  }

  return {
    async begin() {
      if (plan.halts.length === 0) return;
      halting = haltAll().catch((error: unknown) => {
        if (!(error instanceof HoldfastError)) throw error;
        broken = true;
        failures.push(error);
      });
      await halting;
      if (broken) await bringBack();
    },

    async end() {
      const after = plan.halts.length === 0 || !broken ? await containers.inventory().catch(() => undefined) : undefined;
      await bringBack();
      return new Map(
        plan.volumes.map((volume) => {
          const grade = gradeOf(volume, options, broken ? undefined : after);
          const downtimeMs = longest(volume, halted);
          return [volume.name, { consistency: grade, ...(downtimeMs === undefined ? {} : { downtimeMs }) }];
        }),
      );
    },

    async finish() {
      await bringBack();
      failures.push(...((await health) ?? []));
      const downtimes = [...halted.values()].map(({ halt, sinceMs, untilMs = nowMs() }) => ({
        container: halt.container.name,
        action: halt.action,
        downtimeMs: Math.round(untilMs - sinceMs),
      }));
      return { downtimes: downtimes.sort((a, b) => b.downtimeMs - a.downtimeMs), failures, isBack: lost === 0 };
    },
  };
}

function entryOfContainer(halt: Exclude<Halt, { action: 'scale' }>, stopTimeoutMs: number): JournalEntry {
  const { id, name } = halt.container;
  if (halt.action === 'pause') return { id, name, action: 'pause' };
  return { id, name, action: 'stop', timeoutMs: halt.timeoutMs ?? stopTimeoutMs };
}

const tooLong = (maxDowntimeMs: number) =>
  new HoldfastError('container-down', `containers were halted for ${maxDowntimeMs / 1000} s, and came back before everything was read`, {
    remedy: 'the snapshots are graded crash; allow more with --max-downtime, or find out why reading takes so long',
  });

/** Two runs that halt the same containers would bring back what the other still reads. Each writes its journal before it looks; those of the dead are undone at the start. */
async function refuseOthers({ stateFolder, plan }: CutOptions): Promise<void> {
  // Of tasks of Swarm, the other one may have halted the service or the container.
  const ids = new Set<string | undefined>(plan.halts.flat().flatMap(({ container }) => [container.id, serviceIdOf(container)]));
  for (const { journal, life } of await findJournals(stateFolder)) {
    const same = journal.groups.flat().find(({ id }) => ids.has(id));
    if (life === 'own' || life === 'dead' || same === undefined) continue;
    throw new HoldfastError(
      'locked',
      `${same.action === 'scale' ? 'service' : 'container'} ${same.name} is halted by another backup (run ${journal.run})`,
    );
  }
}

function longest({ writers }: PlannedVolume, halted: ReadonlyMap<string, Halted>): number | undefined {
  const times = writers.map(({ id }) => halted.get(id)).filter((entry) => entry !== undefined);
  if (times.length === 0) return undefined;
  return Math.max(...times.map(({ sinceMs, untilMs }) => Math.round((untilMs ?? sinceMs) - sinceMs)));
}

const ends: ReadonlySet<Halt['action'] | undefined> = new Set(['stop', 'scale']);

/**
 * The truth about a volume: what ran at the end of the reading decides, not what was planned.
 * @param after undefined when it is not known, or something came back too early.
 */
function gradeOf(volume: PlannedVolume, { plan, volumes }: CutOptions, after: Inventory | undefined): Consistency {
  if (volume.way === 'dump') return 'dumped';
  if (after === undefined || volume.uncertain || (!volume.known && volume.writers.length === 0)) return 'crash';
  const source = volumes.find(({ name }) => name === volume.name);
  const now = source === undefined ? [] : writersOf(after, source);
  if (volume.way === 'live') return volume.writers.length === 0 && now.length === 0 ? 'stopped' : 'crash';
  const actions = new Map(plan.halts.flat().map(({ container, action }) => [container.id, action]));
  // A container that was stopped is none of these any more.
  if (now.some(({ id, state }) => actions.get(id) !== 'pause' || state !== 'paused')) return 'crash';
  return volume.writers.every(({ id }) => ends.has(actions.get(id))) ? 'stopped' : 'paused';
}
