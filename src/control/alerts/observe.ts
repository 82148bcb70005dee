import type { Configuration } from '../configuration/configuration.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { Job } from '../jobs/job.ts';
import { repositoriesOf } from '../jobs/job.ts';
import type { ProjectAssessment, Reason, ReasonKind } from '../objectives/assessment.ts';
import { instantsOfTask, type Task, tasksOf } from '../scheduling/tasks.ts';
import type { AlertSubject, Observed } from './alert.ts';

/** What alerts are made of: all that is wrong now. */
export type ObserveInputs = {
  assessment: ProjectAssessment;
  configuration: Configuration;
  jobs: Pick<ControlPlane['jobs'], 'open'>;
  /** The newest jobs of a schedule, or without a name those that somebody asked for and that have failed. */
  newest(schedule: string | undefined): readonly Job[];
  /** When the daemon began: what was due before is not its fault. */
  startedMs: number;
  nowMs: number;
  /** What was wrong with the new configuration; undefined when the one in effect is the file's. */
  refused: string | undefined;
  /** What keeps messages from arriving. */
  undelivered: readonly { notification: string; reason: Reason }[];
};

/** Everything that is wrong; each key once. */
export function observe(inputs: ObserveInputs): Observed[] {
  const all = [...ofAssessment(inputs), ...ofJobs(inputs), ...ofConfiguration(inputs), ...ofDelivery(inputs)];
  const byKey = new Map<string, Observed>();
  for (const one of all) {
    const other = byKey.get(one.key);
    if (other === undefined || (other.condition === 'at-risk' && one.condition === 'broken')) byKey.set(one.key, one);
  }
  return [...byKey.values()];
}

/** Kinds that are degrees of one thing: it is one alert that gets worse or better. */
const families: Partial<Record<ReasonKind, string>> = {
  'never-backed-up': 'rpo',
  'rpo-breached': 'rpo',
  'rpo-at-risk': 'rpo',
  'rto-breached': 'rto',
  'rto-at-risk': 'rto',
  'rto-unknown': 'rto',
};

function ofAssessment({ assessment, undelivered, jobs }: ObserveInputs): Observed[] {
  const open = jobs.open();
  const ofNotifications = new Set(undelivered.map(({ reason }) => reason.message));
  const own = assessment.reasons.filter(({ kind, message }) => kind !== 'daemon' || !ofNotifications.has(message));
  return [
    ...assessment.volumes.flatMap(({ volume, reasons }) => {
      // The first backup of a new volume is what nobody needs to be woken up for.
      const begins = open.some(({ spec }) => spec.kind === 'backup' && (spec.volumes?.includes(volume) ?? true));
      const told = begins ? reasons.filter(({ kind }) => kind !== 'never-backed-up') : reasons;
      return ofReasons({ kind: 'volume', name: volume }, told);
    }),
    ...assessment.repositories.flatMap(({ repository, reasons }) => ofReasons({ kind: 'repository', name: repository }, reasons)),
    ...ofReasons({ kind: 'project' }, own),
  ];
}

function ofReasons(subject: AlertSubject, reasons: readonly Reason[]): Observed[] {
  // A failed job is an alert by itself, and says more.
  return reasons
    .filter(({ kind }) => kind !== 'job-failing')
    .map(({ kind, condition, message, remedy }) => ({
      key: `${nameOf(subject)} ${families[kind] ?? kind}`,
      kind,
      subject,
      condition,
      message,
      remedy,
    }));
}

const nameOf = (subject: AlertSubject): string => (subject.kind === 'project' ? 'project' : `${subject.kind} ${subject.name}`);

/** What somebody asked for is told when it fails, and not for ever. */
const askedForMs = 86_400_000;

function ofJobs({ jobs, newest: newestOf, configuration, startedMs, nowMs }: ObserveInputs): Observed[] {
  const open = jobs.open();
  const tasks = tasksOf(configuration).flatMap((task) => {
    const newest = newestOf(task.name);
    const ended = newest.find(({ state }) => ['succeeded', 'incomplete', 'failed', 'lost'].includes(state));
    return [
      ...(ended !== undefined && hasFailed(ended) ? [failedJob(ended, task.name)] : []),
      ...lateTask(task, newest, open, startedMs, nowMs),
    ];
  });
  const askedFor = newestOf(undefined)
    .filter(({ endedMs = 0 }) => nowMs - endedMs < askedForMs)
    .map((job) => failedJob(job, `${job.spec.kind} ${job.id}`));
  return [...tasks, ...askedFor];
}

const hasFailed = ({ state }: Job): boolean => state === 'failed' || state === 'lost';

function failedJob(job: Job, name: string): Observed {
  const where = repositoriesOf(job.spec).map((repository) => repository.name);
  const what = `${job.spec.kind}${where.length === 0 ? '' : ` (${where.join(' to ')})`}`;
  const why = job.error?.message ?? (job.state === 'lost' ? 'the daemon ended while it ran' : `it ended with exit code ${job.exitCode}`);
  return {
    key: `job ${name}`,
    kind: 'job-failed',
    subject: { kind: 'job', name, job: job.spec.kind },
    condition: 'at-risk',
    message: `${what} failed${job.attempts > 1 ? ` after ${job.attempt} attempts` : ''}: ${why}`,
    remedy: job.error?.remedy ?? 'look at its log',
  };
}

const hourMs = 3_600_000;

/** A schedule whose time came and went, and there is no job of it: whatever the scheduler believes. */
function lateTask(task: Task, newest: readonly Job[], open: readonly Job[], startedMs: number, nowMs: number): Observed[] {
  const dueMs = instantsOfTask(task).atOrBefore(nowMs - hourMs);
  const waiting = open.find(({ schedule }) => schedule === task.name);
  const waitsMs = waiting === undefined ? 0 : nowMs - waiting.queuedMs;
  const missed =
    waiting === undefined &&
    dueMs !== undefined &&
    dueMs > startedMs &&
    !newest.some((job) => job.dueMs !== undefined && job.dueMs >= dueMs);
  const stuck = waiting?.state === 'queued' && waitsMs > task.jitterMs + 24 * hourMs;
  if (!missed && !stuck) return [];
  return [
    {
      key: `late ${task.name}`,
      kind: 'schedule-late',
      subject: { kind: 'job', name: task.name, job: task.specAt(nowMs).kind },
      condition: 'at-risk',
      message: missed
        ? `${task.name} was due at ${new Date(dueMs).toISOString()}, and has not run`
        : `${task.name} waits to begin for more than a day`,
      remedy: missed ? 'look at the log of `holdfast up`' : 'see what keeps it waiting: other jobs, or `daemon.quietHours`',
    },
  ];
}

function ofConfiguration({ refused }: ObserveInputs): Observed[] {
  if (refused === undefined) return [];
  return [
    {
      key: 'project configuration',
      kind: 'configuration-refused',
      subject: { kind: 'project' },
      // What it is to protect from now on is not protected.
      condition: 'broken',
      message: `the new holdfast.yaml is refused: ${refused}`,
      remedy: 'correct it: it is read again when it changes',
    },
  ];
}

function ofDelivery({ undelivered }: ObserveInputs): Observed[] {
  return undelivered.map(({ notification, reason: { condition, message, remedy } }) => ({
    key: `notification ${notification}`,
    kind: 'undelivered',
    subject: { kind: 'notification', name: notification },
    condition,
    message,
    remedy,
  }));
}
