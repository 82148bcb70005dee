import { type Job, repositoriesOf } from './job.ts';

/** What may run at a time. */
export type QueueRules = {
  /** How many jobs run at a time. */
  jobs: number;
  /** Whether a job may begin at an hour like this. */
  mayBegin(job: Job, nowMs: number): boolean;
};

/**
 * Which of the queued jobs begin now, best first. At most `rules.jobs` run; a job that needs a repository for itself shares it with none; no
 * volume is in two backups or drills at a time. What cannot begin because of a repository keeps it free of those after it, so that a
 * prune gets its turn among backups.
 */
export function chooseJobs(open: readonly Job[], nowMs: number, rules: QueueRules): Job[] {
  const running = open.filter(({ state }) => state === 'running');
  const waiting = open
    .filter((job) => job.state === 'queued' && job.notBeforeMs <= nowMs && rules.mayBegin(job, nowMs))
    .sort((a, b) => b.priority - a.priority || (a.dueMs ?? a.queuedMs) - (b.dueMs ?? b.queuedMs) || (a.id < b.id ? -1 : 1));
  const reserved = new Set<string>();
  const chosen: Job[] = [];
  for (const job of waiting) {
    const busy = [...running, ...chosen];
    if (busy.length >= rules.jobs) break;
    const repositories = repositoriesOf(job.spec);
    if (repositories.some(({ name }) => reserved.has(name)) || busy.some((other) => clash(job, other))) {
      for (const { name } of repositories) reserved.add(name);
    } else chosen.push(job);
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
