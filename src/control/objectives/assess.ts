import type { Configuration } from '../configuration/configuration.ts';
import { uncoveredReasons } from '../discovery/uncovered.ts';
import { undelivered } from '../notify/undelivered.ts';
import { type Instants, instantsOf } from '../scheduling/instants.ts';
import { type Task, tasksOf } from '../scheduling/tasks.ts';
import type { EvidenceTable } from '../state/evidence-table.ts';
import type { JobTable } from '../state/job-table.ts';
import type { Facts, UsageTable } from '../state/log-tables.ts';
import { assessRepository } from './assess-repository.ts';
import { assessVolume } from './assess-volume.ts';
import { type ProjectAssessment, worst } from './assessment.ts';
import { type Damage, damageOf } from './damage.ts';
import { type JobHistory, jobHistory } from './job-history.ts';

/** All that an assessment is made of. */
export type AssessmentInputs = {
  configuration: Configuration;
  nowMs: number;
  /** When the daemon began. */
  startedMs: number;
  evidence: Pick<EvidenceTable, 'list'>;
  jobs: Pick<JobTable, 'open' | 'list' | 'lastEnded'>;
  usage: Pick<UsageTable, 'newest'>;
  /** `uncovered volumes`; `seen REPOSITORY`: `{ atMs }`, `unseen REPOSITORY`: `{ atMs, message }`, of the last time that its snapshots were, or could not be, listed. */
  facts: Pick<Facts, 'get'>;
  /** Whether the schedules of the configuration are carried out; by default, they are. Without that, nothing is due, and nothing late. */
  scheduled?: boolean;
};

/** What is thought of a project: volumes and repositories in the order of the configuration. Pure, but for what it is asked to read. */
export function assess(inputs: AssessmentInputs): ProjectAssessment {
  const { configuration, nowMs, evidence, jobs, usage } = inputs;
  const history = jobHistory(
    jobs,
    configuration.volumes.map(({ name }) => name),
  );
  const scheduled = inputs.scheduled ?? true;
  const timetable = scheduled ? timetableOf(configuration, nowMs) : emptyTimetable;
  const listed = configuration.volumes.map((volume) => ({ volume, snapshots: evidence.list(volume.name) }));
  const ids = new Map(configuration.repositories.map(({ name }) => [name, new Set<string>()]));
  for (const { snapshots } of listed) for (const { repository, id } of snapshots) ids.get(repository)?.add(id);
  const damage = damagesOf(history, ids);
  const drillDueMs = lateSince(timetable.drill, inputs);
  const volumes = listed.map(({ volume, snapshots }) =>
    assessVolume({
      volume,
      nowMs,
      snapshots,
      damage,
      history,
      nextDueMs: timetable.nextBackupMs(volume.name),
      scheduled,
      usage: usage.newest(volume.name),
      drillDueMs,
    }),
  );
  const repositories = configuration.repositories.map(({ name }) =>
    assessRepository({
      repository: name,
      nowMs,
      snapshots: ids.get(name)?.size ?? 0,
      history,
      damage: damage.get(name),
      seenAtMs: inputs.facts.get<{ atMs: number }>(`seen ${name}`)?.atMs,
      unseen: inputs.facts.get(`unseen ${name}`),
      checkDueMs: lateSince(timetable.checks.get(name), inputs),
      copies: timetable.copies.flatMap(({ from, to, instants }) => {
        const dueMs = to === name ? lateSince(instants, inputs) : undefined;
        return dueMs === undefined ? [] : [{ from, dueMs }];
      }),
    }),
  );
  const reasons = [...undelivered(configuration, inputs.facts).map(({ reason }) => reason), ...uncoveredReasons(inputs.facts)];
  const condition = worst([...volumes, ...repositories, ...reasons].map((one) => one.condition));
  return { project: configuration.project, atMs: nowMs, condition, volumes, repositories, reasons };
}

function damagesOf(history: JobHistory, ids: ReadonlyMap<string, ReadonlySet<string>>): Map<string, Damage> {
  const damages = new Map<string, Damage>();
  for (const [repository, present] of ids) {
    const damage = damageOf(history.checksOf(repository), (id) => present.has(id));
    if (damage !== undefined) damages.set(repository, damage);
  }
  return damages;
}

/** What was done last before the instant before the last is late; a daemon that has just begun is given the time for it. */
function lateSince(instants: Instants | undefined, { nowMs, startedMs }: AssessmentInputs): number | undefined {
  const last = instants?.atOrBefore(nowMs);
  const before = last === undefined ? undefined : instants?.atOrBefore(last - 1);
  return before === undefined || startedMs > before ? undefined : before;
}

type Timetable = {
  /** The next instant at which a backup of it has begun, jitter included. */
  nextBackupMs(volume: string): number | undefined;
  checks: ReadonlyMap<string, Instants>;
  copies: readonly { from: string; to: string; instants: Instants }[];
  drill: Instants | undefined;
};

const emptyTimetable: Timetable = { nextBackupMs: () => undefined, checks: new Map(), copies: [], drill: undefined };

/** Cron expressions are taken apart once. */
const timed = new WeakMap<Configuration, { task: Task; instants: Instants }[]>();

function timetableOf(configuration: Configuration, nowMs: number): Timetable {
  let tasks = timed.get(configuration);
  if (tasks === undefined) {
    tasks = tasksOf(configuration).map((task) => ({ task, instants: instantsOf(task.at) }));
    timed.set(configuration, tasks);
  }
  const next = new Map<string, number>();
  const checks = new Map<string, Instants>();
  const copies: { from: string; to: string; instants: Instants }[] = [];
  let drill: Instants | undefined;
  for (const { task, instants } of tasks) {
    const spec = task.specAt(nowMs);
    if (spec.kind === 'check') checks.set(spec.repository, instants);
    if (spec.kind === 'copy') copies.push({ ...spec, instants });
    if (spec.kind === 'drill') drill = instants;
    const dueMs = spec.kind === 'backup' ? instants.after(nowMs) : undefined;
    if (spec.kind !== 'backup' || dueMs === undefined) continue;
    const beginMs = dueMs + task.jitterMs;
    for (const name of spec.volumes ?? configuration.volumes.map((volume) => volume.name))
      next.set(name, Math.min(next.get(name) ?? Number.POSITIVE_INFINITY, beginMs));
  }
  return { nextBackupMs: (volume) => next.get(volume), checks, copies, drill };
}
