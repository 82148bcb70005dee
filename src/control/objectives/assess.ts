import type { Configuration } from '../configuration/configuration.ts';
import { uncoveredReasons } from '../discovery/uncovered.ts';
import { undelivered } from '../notify/undelivered.ts';
import type { Instants } from '../scheduling/instants.ts';
import { instantsOfTask, type Task, tasksOf } from '../scheduling/tasks.ts';
import type { EvidenceTable, SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts, UsageTable } from '../state/log-tables.ts';
import type { StateFailure } from '../state/state-health.ts';
import { assessRepository, type RepositoryInputs } from './assess-repository.ts';
import { assessVolume, emptyVolumeMemory, type VolumeInputs, type VolumeMemory } from './assess-volume.ts';
import { type ProjectAssessment, type Reason, worst } from './assessment.ts';
import { type Damage, damageOf, standing } from './damage.ts';
import { createHistoryReader, type JobHistory, type JobSource } from './job-history.ts';
import { type Kept, kept } from './kept.ts';
import { formatAge } from './rpo.ts';
import { troubleFact } from './trouble.ts';

/** All that an assessment is made of. */
export type AssessmentInputs = {
  configuration: Configuration;
  nowMs: number;
  /** When the daemon began. */
  startedMs: number;
  evidence: Pick<EvidenceTable, 'list'>;
  jobs: JobSource;
  usage: Pick<UsageTable, 'newest'>;
  /** `uncovered volumes`; `task NAME`: `{ atMs }`, since when it is known; `seen REPOSITORY`: `{ atMs }`, `unseen REPOSITORY`: `{ atMs, message }`, of the last time that its snapshots were, or could not be, listed; `trouble REPOSITORY` (trouble.ts). */
  facts: Pick<Facts, 'get'>;
  /** That the daemon cannot write down what it does. */
  stateFailure?: StateFailure | undefined;
  /** Whether the schedules of the configuration are carried out; by default, they are. Without that, nothing is due, and nothing late. */
  scheduled?: boolean;
};

/** What is thought of a project: volumes and repositories in the order of the configuration. Pure, but for what it is asked to read. */
export function assess(inputs: AssessmentInputs): ProjectAssessment {
  return atOnce(createAssessing()(inputs));
}

/** An assessment in small steps: all that it is made of is read before the first. */
export type Assessing = Generator<undefined, ProjectAssessment>;

export function atOnce(steps: Assessing): ProjectAssessment {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/**
 * Returns what assesses a project again and again, and each time does again only what has another outcome now: for a volume of which nothing
 * is new, that is what depends on the time. The assessment is the one that \`assess\` makes.
 */
export function createAssessing(): (inputs: AssessmentInputs) => Assessing {
  let memory: Memory | undefined;
  return function* (inputs) {
    const { configuration, jobs, facts } = inputs;
    if (memory === undefined || memory.configuration !== configuration || memory.jobs !== jobs) memory = emptyMemory(configuration, jobs);
    const known = read(inputs, memory);
    const repositories = configuration.repositories.map(({ name }) => assessRepository(repositoryInputs(name, inputs, known)));
    const reasons = [...undelivered(configuration, facts).map(({ reason }) => reason), ...uncoveredReasons(facts), ...stateReasons(inputs)];
    const volumes: ProjectAssessment['volumes'] = [];
    for (const one of known.volumes) {
      volumes.push(assessVolume(one, memoryOf(one.volume.name, known.memory)));
      yield;
    }
    const condition = worst([...volumes, ...repositories, ...reasons].map((one) => one.condition));
    return { project: configuration.project, atMs: inputs.nowMs, condition, volumes, repositories, reasons };
  };
}

function stateReasons({ stateFailure, nowMs }: AssessmentInputs): Reason[] {
  if (stateFailure === undefined) return [];
  const since = formatAge(Math.max(0, nowMs - stateFailure.sinceMs));
  return [
    {
      kind: 'daemon',
      condition: 'at-risk',
      message: `the daemon cannot write its state since ${since}: ${stateFailure.message}; jobs go on`,
      remedy: 'make room on the disk of its state folder (/var/lib/holdfast, or HOLDFAST_STATE_DIR): what waits in memory is written then',
    },
  ];
}

/** What an assessment leaves for the next one of the same configuration. */
type Memory = Pick<AssessmentInputs, 'configuration' | 'jobs'> & {
  history: () => JobHistory;
  /** By repository. */
  damage: ReadonlyMap<string, Kept<Damage>>;
  damages: Kept<ReadonlyMap<string, Damage>>;
  counts: WeakMap<readonly SnapshotEvidence[], ReadonlyMap<string, number>>;
  volumes: Map<string, VolumeMemory>;
};

function emptyMemory(configuration: Configuration, jobs: JobSource): Memory {
  const names = configuration.volumes.map(({ name }) => name);
  return {
    configuration,
    jobs,
    history: createHistoryReader(jobs, names),
    damage: new Map(configuration.repositories.map(({ name }) => [name, kept<Damage>()])),
    damages: kept(),
    counts: new WeakMap(),
    volumes: new Map(),
  };
}

function memoryOf(volume: string, { volumes }: Memory): VolumeMemory {
  const memory = volumes.get(volume) ?? emptyVolumeMemory();
  volumes.set(volume, memory);
  return memory;
}

/** All that is known at an instant. */
type Known = {
  memory: Memory;
  timetable: Timetable;
  history: JobHistory;
  damage: ReadonlyMap<string, Damage>;
  volumes: readonly VolumeInputs[];
  /** How many snapshots a repository has of the volumes of the configuration. */
  snapshots: ReadonlyMap<string, number>;
};

function read(inputs: AssessmentInputs, memory: Memory): Known {
  const { configuration, nowMs, evidence, usage } = inputs;
  const scheduled = inputs.scheduled ?? true;
  const timetable = scheduled ? timetableOf(configuration, nowMs) : emptyTimetable;
  const drillDueMs = lateSince(timetable.drill, inputs);
  const history = memory.history();
  const listed = configuration.volumes.map((volume) => ({ volume, snapshots: evidence.list(volume.name) }));
  const damage = damagesOf(
    history,
    memory,
    listed.map(({ snapshots }) => snapshots),
  );
  const volumes = listed.map(({ volume, snapshots }) => ({
    volume,
    nowMs,
    snapshots,
    damage,
    history,
    nextDueMs: timetable.nextBackupMs(volume.name),
    scheduled,
    usage: usage.newest(volume.name),
    drillDueMs,
  }));
  const snapshots = new Map<string, number>();
  for (const one of listed)
    for (const [repository, count] of countsOf(one.snapshots, memory)) snapshots.set(repository, (snapshots.get(repository) ?? 0) + count);
  return { memory, timetable, history, damage, volumes, snapshots };
}

function countsOf(list: readonly SnapshotEvidence[], { counts }: Memory): ReadonlyMap<string, number> {
  let known = counts.get(list);
  if (known === undefined) {
    known = new Map([...Map.groupBy(list, ({ repository }) => repository)].map(([repository, { length }]) => [repository, length]));
    counts.set(list, known);
  }
  return known;
}

/** The same for as long as the same checks stand. */
function damagesOf(history: JobHistory, memory: Memory, lists: readonly (readonly SnapshotEvidence[])[]): ReadonlyMap<string, Damage> {
  const found: [repository: string, damage: Damage][] = [];
  for (const [repository, damage] of memory.damage) {
    let ids: Set<string> | undefined;
    const has = (id: string) => {
      ids ??= new Set(lists.flatMap((list) => list.flatMap((one) => (one.repository === repository ? one.id : []))));
      return ids.has(id);
    };
    const checks = standing(history.checksOf(repository), has);
    if (checks.length > 0) found.push([repository, damage(checks, () => damageOf(checks))]);
  }
  return memory.damages(found.flat(), () => new Map(found));
}

function repositoryInputs(name: string, inputs: AssessmentInputs, { history, damage, timetable, snapshots }: Known): RepositoryInputs {
  const { facts, nowMs } = inputs;
  return {
    repository: name,
    nowMs,
    snapshots: snapshots.get(name) ?? 0,
    history,
    damage: damage.get(name),
    seenAtMs: facts.get<{ atMs: number }>(`seen ${name}`)?.atMs,
    unseen: facts.get(`unseen ${name}`),
    trouble: facts.get(troubleFact(name)),
    checkDueMs: lateSince(timetable.checks.get(name), inputs),
    copies: timetable.copies.flatMap(({ from, to, timed }) => {
      const dueMs = to === name ? lateSince(timed, inputs) : undefined;
      return dueMs === undefined ? [] : [{ from, dueMs }];
    }),
  };
}

/** A daemon that has begun after it was off is given so long to make up for what it missed. */
const catchUpMs = 3_600_000;

/** What was done last before the instant before the last is late, since the task is known: a daemon that is often started anew counts on. */
function lateSince(timed: Timed | undefined, { nowMs, startedMs, facts }: AssessmentInputs): number | undefined {
  const last = timed?.instants.atOrBefore(nowMs);
  const before = last === undefined ? undefined : timed?.instants.atOrBefore(last - 1);
  if (timed === undefined || before === undefined || nowMs - startedMs < catchUpMs) return undefined;
  const knownMs = facts.get<{ atMs: number }>(`task ${timed.task.name}`)?.atMs ?? startedMs;
  return knownMs > before ? undefined : before;
}

type Timed = { task: Task; instants: Instants };

type Timetable = {
  /** The next instant at which a backup of it has begun, jitter included. */
  nextBackupMs(volume: string): number | undefined;
  checks: ReadonlyMap<string, Timed>;
  copies: readonly { from: string; to: string; timed: Timed }[];
  drill: Timed | undefined;
};

const emptyTimetable: Timetable = { nextBackupMs: () => undefined, checks: new Map(), copies: [], drill: undefined };

function timetableOf(configuration: Configuration, nowMs: number): Timetable {
  const next = new Map<string, number>();
  const checks = new Map<string, Timed>();
  const copies: { from: string; to: string; timed: Timed }[] = [];
  let drill: Timed | undefined;
  for (const task of tasksOf(configuration)) {
    const instants = instantsOfTask(task);
    const one: Timed = { task, instants };
    const spec = task.specAt(nowMs);
    if (spec.kind === 'check') checks.set(spec.repository, one);
    if (spec.kind === 'copy') copies.push({ ...spec, timed: one });
    if (spec.kind === 'drill') drill = one;
    const dueMs = spec.kind === 'backup' ? instants.after(nowMs) : undefined;
    if (spec.kind !== 'backup' || dueMs === undefined) continue;
    const beginMs = dueMs + task.jitterMs;
    for (const name of spec.volumes ?? configuration.volumes.map((volume) => volume.name))
      next.set(name, Math.min(next.get(name) ?? Number.POSITIVE_INFINITY, beginMs));
  }
  return { nextBackupMs: (volume) => next.get(volume), checks, copies, drill };
}
