import type { SQLInputValue } from 'node:sqlite';
import type { SnapshotEvidence } from './evidence-table.ts';
import type { State } from './state.ts';

/** A run, as far as its snapshots are in a repository: a restore point. `timeMs`: of the newest of them. */
export type RunEvidence = { repository: string; run: string; timeMs: number; snapshots: number };

type Filter = { volume?: string; repository?: string; run?: string; id?: string };
type Page = { limit: number; before?: Pick<SnapshotEvidence, 'timeMs' | 'id' | 'repository'> };

/** What is known of snapshots, page by page: the database is asked for what is shown, and nothing else is read. */
export type EvidencePages = {
  /** Newest first, from a page on. `id`: or its beginning. */
  page(filter: Filter, page: Page): SnapshotEvidence[];
  /** Runs by what they left, the newest first, from a page on; ones of a time by their key, `RUN~REPOSITORY`, backwards. */
  runs(filter: { repository?: string }, page: { limit: number; beforeMs?: number; beforeKey?: string }): RunEvidence[];
  /** Oldest first. */
  ofRun(run: string, repository: string): SnapshotEvidence[];
};

const evidenceOf = (row: unknown): SnapshotEvidence => JSON.parse((row as { document: string }).document) as SnapshotEvidence;

export function createEvidencePages({ database }: Pick<State, 'database'>): EvidencePages {
  const runs = database.prepare(`SELECT run, repository, max(time_ms) AS timeMs, count(*) AS snapshots
    FROM snapshots WHERE ?1 IS NULL OR repository = ?1 GROUP BY run, repository
    HAVING (max(time_ms), run || '~' || repository) < (?2, ?3)
    ORDER BY timeMs DESC, run || '~' || repository DESC LIMIT ?4`);
  const ofRun = database.prepare('SELECT document FROM snapshots WHERE run = ? AND repository = ? ORDER BY time_ms, id');
  return {
    page: (filter, page) => readPage(database, filter, page),
    runs: ({ repository }, { limit, beforeMs, beforeKey }) =>
      runs.all(repository ?? null, beforeMs ?? Number.MAX_SAFE_INTEGER, beforeKey ?? '~', limit) as RunEvidence[],
    ofRun: (run, repository) => ofRun.all(run, repository).map(evidenceOf),
  };
}

/** Asks only for what is filtered by, so that there is an index for it: of all snapshots, few are looked at. */
function readPage(database: State['database'], { volume, repository, run, id }: Filter, { limit, before }: Page): SnapshotEvidence[] {
  const conditions: [sql: string, ...values: SQLInputValue[]][] = [];
  // A copy may have the id and time of its original.
  if (before !== undefined) conditions.push(['(time_ms, id, repository) < (?, ?, ?)', before.timeMs, before.id, before.repository]);
  if (volume !== undefined) conditions.push(['volume = ?', volume]);
  if (repository !== undefined) conditions.push(['repository = ?', repository]);
  if (run !== undefined) conditions.push(['run = ?', run]);
  if (id !== undefined) conditions.push(['id >= ? AND id < ?', id, `${id}~`]);
  // Ids say more than times do, which SQLite cannot know.
  const from = id === undefined ? 'snapshots' : 'snapshots INDEXED BY snapshots_id';
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`;
  return database
    .prepare(`SELECT document FROM ${from} ${where} ORDER BY time_ms DESC, id DESC, repository DESC LIMIT ?`)
    .all(...conditions.flatMap(([, ...values]) => values), limit)
    .map(evidenceOf);
}
