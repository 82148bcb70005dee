import type { Configuration, Effort, When } from '../configuration/configuration.ts';
import { longestGapMs } from '../discovery/cron-gap.ts';
import type { JobSpec } from '../jobs/job.ts';
import { type Instants, instantsOf, remembering } from './instants.ts';

/** Something that comes again and again: a schedule of the configuration, or the upkeep of a repository. */
export type Task = When &
  Effort & {
    /** Unique and stable: what is known of earlier times is found by it. */
    name: string;
    /** What is done at an instant. */
    specAt(dueMs: number): JobSpec;
  };

const dayMs = 86_400_000;

const known = new WeakMap<Configuration, readonly Task[]>();

/** All tasks of a configuration: its schedules first, then upkeep repository by repository, drills, and usage. Those of one are always the same. */
export function tasksOf(configuration: Configuration): readonly Task[] {
  const tasks = known.get(configuration) ?? makeTasks(configuration);
  known.set(configuration, tasks);
  return tasks;
}

const instants = new WeakMap<Task, Instants>();

/** When a task is due. It is reckoned once, for all who ask. */
export function instantsOfTask(task: Task): Instants {
  const known = instants.get(task) ?? remembering(instantsOf(task.at));
  instants.set(task, known);
  return known;
}

/** The task that a schedule of the configuration is. */
export const nameOfSchedule = (schedule: string): string => `schedule ${schedule}`;

function makeTasks(configuration: Configuration): Task[] {
  const { schedules, repositories, maintenance, drills } = configuration;
  return [
    ...schedules.map((schedule): Task => {
      const { action } = schedule;
      const spec: JobSpec =
        action.kind === 'copy'
          ? action
          : {
              kind: 'backup',
              repository: action.to,
              class: 'scheduled',
              ...(action.volumes === undefined ? {} : { volumes: action.volumes }),
            };
      return { ...schedule, name: nameOfSchedule(schedule.name), specAt: () => spec };
    }),
    ...repositories.filter(({ maintenance: wanted }) => wanted).flatMap(({ name }) => upkeepOf(name, maintenance)),
    ...(drills === undefined
      ? []
      : [{ ...drills, name: 'drill', specAt: (): JobSpec => ({ kind: 'drill', repository: repositories[0]?.name ?? '' }) }]),
    ...(maintenance.usage === undefined ? [] : [{ ...maintenance.usage, name: 'usage', specAt: (): JobSpec => ({ kind: 'usage' }) }]),
  ];
}

function upkeepOf(repository: string, { forget, check }: Configuration['maintenance']): Task[] {
  return [
    ...(forget === undefined ? [] : [{ ...forget, name: `forget ${repository}`, specAt: (): JobSpec => ({ kind: 'forget', repository }) }]),
    ...(check === undefined
      ? []
      : [
          {
            ...check,
            name: `check ${repository}`,
            specAt: (dueMs: number): JobSpec => ({ kind: 'check', repository, ...partOf(dueMs, check.rereadMs, spanOf(check)) }),
          },
        ]),
  ];
}

/** In every such time a check comes, in milliseconds: whole days. */
function spanOf({ at }: When): number {
  const longestMs = at.kind === 'every' ? at.everyMs : longestGapMs(at.cron);
  return Math.max(1, Math.ceil(longestMs / dayMs)) * dayMs;
}

/**
 * Which part of all packs is read at an instant. Parts are spans of the time in which all is to be read, so that they come round
 * whatever happened to single checks, and whoever forgot what was done before. All checks of a span read the same part.
 * @param spanMs no more than that lies between two checks.
 */
export function partOf(dueMs: number, rereadMs: number, spanMs: number): { part: number; parts: number } {
  const parts = Math.max(1, Math.floor(rereadMs / spanMs));
  return { part: (Math.floor(dueMs / spanMs) % parts) + 1, parts };
}
