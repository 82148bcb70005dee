import type { JobTable } from '../state/job-table.ts';
import { isOver, type Job } from './job.ts';

/** Jobs that the state cannot take are held in memory; of those that are over, so many at most. */
const mostUnsaved = 10_000;

/**
 * A table of jobs whose writes never fail: what the state cannot take (a full disk) is held here and counts like the rest, and is written as
 * soon as the state takes it. Lines of logs are dropped meanwhile. `onFailure` is told of each write that failed.
 */
export function steadyJobTable(table: JobTable, onFailure: (error: unknown) => void): JobTable {
  const unsaved = new Map<string, { job: Job; isNew: boolean }>();

  const attempt = (work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      onFailure(error);
      return false;
    }
  };
  const settle = () => {
    for (const [id, { job, isNew }] of unsaved) {
      if (!attempt(() => (isNew ? void table.add(job) : table.update(job)))) return;
      unsaved.delete(id);
    }
  };
  const hold = (job: Job, isNew: boolean) => {
    unsaved.set(job.id, { job, isNew: unsaved.get(job.id)?.isNew ?? isNew });
    if (unsaved.size <= mostUnsaved) return;
    const dropped = [...unsaved.values()].find((held) => isOver(held.job.state));
    if (dropped !== undefined) unsaved.delete(dropped.job.id);
  };
  const held = () => [...unsaved.values()].map(({ job }) => job);

  return {
    ...table,
    add(job) {
      settle();
      if (job.schedule !== undefined && held().some(({ schedule, dueMs }) => schedule === job.schedule && dueMs === job.dueMs))
        return false;
      let isAdded = true;
      const isSaved = attempt(() => {
        isAdded = table.add(job);
      });
      if (!isSaved) hold(job, true);
      return isAdded;
    },
    update(job) {
      settle();
      if (unsaved.has(job.id) || !attempt(() => table.update(job))) hold(job, false);
    },
    get: (id) => unsaved.get(id)?.job ?? table.get(id),
    open: () =>
      [...table.open().filter(({ id }) => !unsaved.has(id)), ...held().filter(({ state }) => !isOver(state))].sort((a, b) =>
        a.id < b.id ? -1 : 1,
      ),
    list: (filter, page) => table.list(filter, page).map((job) => unsaved.get(job.id)?.job ?? job),
    states: (kind, limit) => table.states(kind, limit).map(({ id, state }) => ({ id, state: unsaved.get(id)?.job.state ?? state })),
    lastDueMs(schedule, nowMs) {
      const saved = table.lastDueMs(schedule, nowMs);
      const unsavedDues = held().flatMap((job) =>
        job.schedule === schedule && job.dueMs !== undefined && job.dueMs <= nowMs ? [job.dueMs] : [],
      );
      const all = saved === undefined ? unsavedDues : [saved, ...unsavedDues];
      return all.length === 0 ? undefined : Math.max(...all);
    },
    freeInstants: (thanMs) => void attempt(() => table.freeInstants(thanMs)),
    log(job, lines) {
      let last: number | undefined;
      attempt(() => {
        last = table.log(job, lines);
      });
      return last;
    },
    removeLines: (job, from, before) => void attempt(() => table.removeLines(job, from, before)),
    removeLogs: (thanMs) => void attempt(() => table.removeLogs(thanMs)),
    removeOlder: (thanMs, keep) => void attempt(() => table.removeOlder(thanMs, keep)),
  };
}
