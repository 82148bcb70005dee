import { randomInt } from 'node:crypto';
import type { Job, JobSpec } from '../jobs/job.ts';
import { instantsOfTask, type Task } from './tasks.ts';

/** What the scheduler asks of the past. */
export type Past = {
  /** The newest instant of a task that has a job. */
  lastDueMs(task: string): number | undefined;
  /**
   * For a task that has none: until when its work counts as done. Scheduled backups look at their snapshots, so that a new
   * daemon, or one that has lost its state, neither waits for the next hour nor does again what is there.
   */
  doneUntilMs(task: Task, spec: JobSpec): number;
};

/** A job that is to be made. */
export type Due = { task: Task; spec: JobSpec; dueMs: number; notBeforeMs: number };

export type Scheduler = {
  /**
   * What is due now. Of instants that were missed, the newest counts; while a job of the task is open nothing is: what was missed comes
   * when it has ended.
   */
  due(nowMs: number, open: readonly Job[], past: Past): Due[];
  /** When to look again; undefined: never. */
  nextMs(nowMs: number): number | undefined;
};

/** `random` returns a whole number below its argument. */
export function createScheduler(tasks: readonly Task[], random: (below: number) => number = randomInt): Scheduler {
  const timed = tasks.map((task) => ({ task, instants: instantsOfTask(task) }));
  return {
    due(nowMs, open, past) {
      const busy = new Set(open.map(({ schedule }) => schedule));
      return timed.flatMap(({ task, instants }) => {
        if (busy.has(task.name)) return [];
        const dueMs = instants.atOrBefore(nowMs);
        if (dueMs === undefined) return [];
        const spec = task.specAt(dueMs);
        const doneMs = past.lastDueMs(task.name) ?? past.doneUntilMs(task, spec);
        if (dueMs <= doneMs) return [];
        return [{ task, spec, dueMs, notBeforeMs: dueMs + (task.jitterMs > 0 ? random(Math.floor(task.jitterMs) + 1) : 0) }];
      });
    },
    nextMs(nowMs) {
      const next = timed.flatMap(({ instants }) => instants.after(nowMs) ?? []);
      return next.length === 0 ? undefined : Math.min(...next);
    },
  };
}
