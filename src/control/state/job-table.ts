import type { SQLInputValue } from 'node:sqlite';
import { isOver, type Job, type JobKind, type JobState } from '../jobs/job.ts';
import type { State } from './state.ts';

export type JobFilter = { kind?: JobKind; state?: JobState; volume?: string; schedule?: string };

/** Jobs that were, are and will be done, and what they said. */
export type JobTable = {
  /** False, and nothing happens, when the job of this schedule and instant is there already. */
  add(job: Job): boolean;
  /** Replaces the job's row. */
  update(job: Job): void;
  get(id: string): Job | undefined;
  /** Queued and running, the oldest first. */
  open(): Job[];
  /** Newest first; `before` is the id of the last one of the page before. */
  list(filter: JobFilter, page: { limit: number; before?: string }): Job[];
  /**
   * Of a kind, newest first, as `list` has them: little to read where each job tells of a thousand volumes. Of each schedule so many, and of
   * those that somebody asked for: what comes every quarter of an hour does not hide what comes once a day.
   */
  states(kind: JobKind, limit: number): { id: string; state: JobState }[];
  /** The newest instant of a schedule, not after `nowMs`, that has a job: clocks that were wrong for a while leave jobs of the future. */
  lastDueMs(schedule: string, nowMs: number): number | undefined;
  /** Jobs stand no more for instants of their schedules after `thanMs`: a clock that was wrong made them, and these are still to come. */
  freeInstants(thanMs: number): void;
  /** The newest job of a kind that has ended in one of the states. */
  lastEnded(kind: JobKind, states: readonly JobState[], matches?: (job: Job) => boolean): Job | undefined;
  /** Adds lines to a job's log; their numbers go on from the last. Returns the number of the last; undefined when nothing was written. */
  log(job: string, lines: readonly { atMs: number; line: string }[]): number | undefined;
  /** Removes lines of a job's log, from a number up to another, which stays. */
  removeLines(job: string, from: number, before: number): void;
  readLog(job: string, page: { limit: number; after?: number }): { number: number; atMs: number; line: string }[];
  /** Removes the logs of jobs that succeeded and ended before: nobody asks why. Those of all others stay as long as their jobs. */
  removeLogs(thanMs: number): void;
  /**
   * Removes ended jobs that are older, with their logs, but always keeps the newest `keep` of each kind, and the last of each schedule, by which
   * it is known what is due next.
   */
  removeOlder(thanMs: number, keep: number): void;
};

type Row = { document: string };
const jobOf = (row: unknown): Job => JSON.parse((row as Row).document) as Job;

export function createJobTable({ database, transaction }: State): JobTable {
  const insert = database.prepare('INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const update = database.prepare('UPDATE jobs SET state = ?, ended_ms = ?, document = ? WHERE id = ?');
  const get = database.prepare('SELECT document FROM jobs WHERE id = ?');
  const open = database.prepare(`SELECT document FROM jobs WHERE state IN ('queued', 'running') ORDER BY id`);
  const schedules = database.prepare('SELECT DISTINCT schedule FROM jobs WHERE kind = ?');
  const states = database.prepare('SELECT id, state FROM jobs WHERE kind = ? AND schedule IS ? ORDER BY id DESC LIMIT ?');
  const lastDue = database.prepare('SELECT max(due_ms) AS due FROM jobs WHERE schedule = ? AND due_ms <= ?');
  const freeInstants = database.prepare('UPDATE jobs SET due_ms = NULL WHERE schedule IS NOT NULL AND due_ms > ?');
  const ended = database.prepare('SELECT document, state FROM jobs WHERE kind = ? ORDER BY queued_ms DESC, id DESC');
  const lastNumber = database.prepare('SELECT max(number) AS number FROM job_log WHERE job = ?');
  const insertLine = database.prepare('INSERT INTO job_log VALUES (?, ?, ?, ?)');
  const readLog = database.prepare('SELECT number, at_ms, line FROM job_log WHERE job = ? AND number > ? ORDER BY number LIMIT ?');
  const removeLines = database.prepare('DELETE FROM job_log WHERE job = ? AND number >= ? AND number < ?');
  const removeLogs = database.prepare(`DELETE FROM job_log WHERE job IN (SELECT id FROM jobs WHERE state = 'succeeded' AND ended_ms < ?)`);
  const remove = database.prepare(`DELETE FROM jobs WHERE ended_ms < ? AND id NOT IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY kind ORDER BY queued_ms DESC) AS place FROM jobs) WHERE place <= ?)
    AND (due_ms IS NULL OR due_ms < (SELECT max(due_ms) FROM jobs AS others WHERE others.schedule = jobs.schedule))`);
  return {
    add: (job) =>
      insert.run(
        job.id,
        job.spec.kind,
        job.state,
        job.schedule ?? null,
        job.dueMs ?? null,
        job.queuedMs,
        job.endedMs ?? null,
        JSON.stringify(job),
      ).changes === 1,
    update: (job) => void update.run(job.state, job.endedMs ?? null, JSON.stringify(job), job.id),
    get(id) {
      const row = get.get(id);
      return row === undefined ? undefined : jobOf(row);
    },
    open: () => open.all().map(jobOf),
    list: (filter, page) => list(database, filter, page),
    states: (kind, limit) =>
      (schedules.all(kind) as { schedule: string | null }[])
        .flatMap(({ schedule }) => states.all(kind, schedule, limit) as { id: string; state: JobState }[])
        .map(({ id, state }) => ({ id, state }))
        .sort((a, b) => (a.id < b.id ? 1 : -1)),
    lastDueMs: (schedule, nowMs) => (lastDue.get(schedule, nowMs) as { due: number | null }).due ?? undefined,
    freeInstants: (thanMs) => void freeInstants.run(thanMs),
    lastEnded(kind, states, matches = () => true) {
      for (const row of ended.iterate(kind)) {
        const { state } = row as { state: JobState };
        if (!isOver(state) || !states.includes(state)) continue;
        const job = jobOf(row);
        if (matches(job)) return job;
      }
      return undefined;
    },
    log: (job, lines) =>
      transaction(() => {
        let { number } = lastNumber.get(job) as { number: number | null };
        for (const { atMs, line } of lines) {
          number = (number ?? 0) + 1;
          insertLine.run(job, number, atMs, line);
        }
        return number ?? undefined;
      }),
    removeLines: (job, from, before) => void removeLines.run(job, from, before),
    readLog: (job, { limit, after = 0 }) =>
      (readLog.all(job, after, limit) as { number: number; at_ms: number; line: string }[]).map(({ number, at_ms: atMs, line }) => ({
        number,
        atMs,
        line,
      })),
    removeLogs: (thanMs) => void removeLogs.run(thanMs),
    removeOlder: (thanMs, keep) => void remove.run(thanMs, keep),
  };
}

function list(database: State['database'], filter: JobFilter, { limit, before }: { limit: number; before?: string }): Job[] {
  const conditions: [sql: string, value: SQLInputValue][] = [];
  if (before !== undefined) conditions.push(['id < ?', before]);
  if (filter.kind !== undefined) conditions.push(['kind = ?', filter.kind]);
  if (filter.state !== undefined) conditions.push(['state = ?', filter.state]);
  if (filter.schedule !== undefined) conditions.push(['schedule = ?', filter.schedule]);
  if (filter.volume !== undefined) {
    const named = `(document -> '$.spec.volumes' IS NULL OR EXISTS (SELECT 1 FROM json_each(document, '$.spec.volumes') WHERE value = ?))`;
    conditions.push([named, filter.volume]);
  }
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`;
  return database
    .prepare(`SELECT document FROM jobs ${where} ORDER BY id DESC LIMIT ?`)
    .all(...conditions.map(([, value]) => value), limit)
    .map(jobOf);
}

/** A job's log, page by page. */
export function* allLines(jobs: Pick<JobTable, 'readLog'>, job: string): Iterable<{ number: number; atMs: number; line: string }> {
  const limit = 1_000;
  for (let after = 0; ; ) {
    const page = jobs.readLog(job, { limit, after });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < limit) return;
    after = last.number;
  }
}
