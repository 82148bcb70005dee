/** What a configuration asks of the daemon. */
import { HoldfastError } from '../model/errors.ts';
import type { Configuration, QuietHours } from './configuration/configuration.ts';
import { defaults } from './configuration/defaults.ts';
import { type Job, type JobSpec, repositoriesOf } from './jobs/job.ts';
import type { RunnerPlan } from './jobs/job-runner.ts';
import { quietAt, quietUntilMs } from './scheduling/quiet-hours.ts';
import { instantsOfTask, tasksOf } from './scheduling/tasks.ts';

/** Before all that comes by itself. */
export const urgent = 8;

/** Its tasks, and what may run when. */
export function planOf(configuration: Configuration): RunnerPlan {
  const { quietHours, jobs } = configuration.daemon;
  const mayBegin = (job: Job, nowMs: number): boolean => quietAt(hoursThatHold(job, quietHours), nowMs) === undefined;
  return { tasks: tasksOf(configuration), rules: { jobs, mayBegin } };
}

/** What somebody asked for is not kept waiting, nor what measures. */
const hoursThatHold = ({ schedule, spec }: Pick<Job, 'schedule' | 'spec'>, hours: readonly QuietHours[]): readonly QuietHours[] =>
  schedule === undefined || spec.kind === 'usage' ? [] : spec.kind === 'backup' ? hours.filter(({ backups }) => !backups) : hours;

/** Until when quiet hours keep a job that waits from beginning, at the earliest time at which it would; undefined when they do not. */
export function heldUntilMs(
  job: Pick<Job, 'schedule' | 'spec' | 'state' | 'notBeforeMs'>,
  hours: readonly QuietHours[],
  nowMs: number,
): number | undefined {
  return job.state === 'queued' ? quietUntilMs(hoursThatHold(job, hours), Math.max(nowMs, job.notBeforeMs)) : undefined;
}

/** The next instant of each task, the soonest first. */
export function upcoming({ tasks }: RunnerPlan, nowMs: number): { task: string; spec: JobSpec; dueMs: number }[] {
  return tasks
    .flatMap((task) => {
      const dueMs = instantsOfTask(task).after(nowMs);
      return dueMs === undefined ? [] : [{ task: task.name, spec: task.specAt(dueMs), dueMs }];
    })
    .sort((a, b) => a.dueMs - b.dueMs);
}

/** The deadline and attempts of the like that is scheduled. */
export function effortOf(spec: JobSpec, configuration: Configuration): { deadlineMs: number; attempts: number } {
  const like = tasksOf(configuration).find((task) => task.specAt(0).kind === spec.kind);
  return { deadlineMs: like?.deadlineMs ?? 12 * 3_600_000, attempts: like?.attempts ?? defaults.job.attempts };
}

/** @throws `usage` or `unknown-volume` for a repository or volume that is not in the configuration. */
export function requireKnown(spec: JobSpec, { volumes, repositories }: Configuration): void {
  const unknownRepository = repositoriesOf(spec).find(({ name }) => !repositories.some((repository) => repository.name === name));
  if (unknownRepository) throw new HoldfastError('usage', `there is no repository ${JSON.stringify(unknownRepository.name)}`);
  const unknownVolume = 'volumes' in spec ? spec.volumes?.find((name) => !volumes.some((volume) => volume.name === name)) : undefined;
  if (unknownVolume !== undefined) throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(unknownVolume)}`);
}
