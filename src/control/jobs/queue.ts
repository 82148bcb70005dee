import { type Job, repositoriesOf } from './job.ts';

/** What may run at a time. */
export type QueueRules = {
  /** How many jobs run at a time. */
  jobs: number;
  /** Whether a job may begin at an hour like this. */
  mayBegin(job: Job, nowMs: number): boolean;
};

/** After so long, a job that waits counts as one of the next higher priority: nothing waits for ever. */
const olderEveryMs = 3_600_000;
const highest = 9;

/**
 * Which of the queued jobs begin now, best first; of those that may have been done already (`unsettled`), none. At most `rules.jobs` run; a job
 * that needs a repository for itself shares it with none; no volume is in two backups at a time. What cannot begin keeps what it needs free of
 * those after it, so that a prune gets its turn among backups.
 */
export function chooseJobs(open: readonly Job[], nowMs: number, rules: QueueRules): Job[] {
  const running = open.filter(({ state }) => state === 'running');
  const rank = ({ priority, notBeforeMs }: Job) =>
    Math.min(highest, priority + Math.floor(Math.max(0, nowMs - notBeforeMs) / olderEveryMs));
  const waiting = open
    .filter((job) => job.state === 'queued' && job.unsettled === undefined && job.notBeforeMs <= nowMs && rules.mayBegin(job, nowMs))
    .map((job) => ({ job, rank: rank(job) }))
    .sort((a, b) => b.rank - a.rank || (a.job.dueMs ?? a.job.queuedMs) - (b.job.dueMs ?? b.job.queuedMs) || (a.job.id < b.job.id ? -1 : 1));
  const taken = [...running];
  const chosen: Job[] = [];
  for (const { job } of waiting) {
    if (running.length + chosen.length >= rules.jobs) break;
    if (!taken.some((other) => clash(job, other))) chosen.push(job);
    taken.push(job);
  }
  return chosen;
}

function clash(a: Job, b: Job): boolean {
  const others = new Map(repositoriesOf(b.spec).map(({ name, alone }) => [name, alone]));
  const overRepository = repositoriesOf(a.spec).some(({ name, alone }) => others.has(name) && (alone || others.get(name)));
  return (
    overRepository || (readsVolumes(a) && readsVolumes(b) && shareVolume(a, b)) || (a.spec.kind === 'usage' && b.spec.kind === 'usage')
  );
}

const readsVolumes = ({ spec }: Job): boolean => spec.kind === 'backup';

function shareVolume(a: Job, b: Job): boolean {
  const [first, second] = [volumesOf(a), volumesOf(b)];
  return first === undefined || second === undefined || first.some((volume) => second.includes(volume));
}

/** Undefined: all. */
const volumesOf = ({ spec }: Job): readonly string[] | undefined => ('volumes' in spec ? spec.volumes : undefined);
