import type { Consistency, SnapshotClass } from '../../model/snapshot.ts';
import type { State } from './state.ts';

/** What the control plane knows of a snapshot: enough to judge a volume by, and little enough to hold tens of thousands. */
export type SnapshotEvidence = {
  /** Name of the repository in `holdfast.yaml`. */
  repository: string;
  id: string;
  project: string;
  volume: string;
  run: string;
  timeMs: number;
  /** The snapshot before, as far as the backup knew one. */
  parent?: string;
  /** When its backup began; undefined without a summary, where sizes and counts are not known. */
  begunMs?: number;
  class: SnapshotClass;
  consistency: Consistency;
  /** Whether a repair has written it anew without what was lost. */
  repaired: boolean;
  unreadable: number;
  bytes: number;
  files: number;
  filesNew: number;
  filesChanged: number;
  addedBytes: number;
  addedPackedBytes: number;
  /** Of new blobs, bytes that compression does not make fewer, and files by kind (file-kinds.ts); undefined where nobody counted. */
  incompressibleBytes?: number;
  kinds?: string;
  /** How long the backup took. */
  durationMs: number;
  downtimeMs: number | undefined;
  tags: readonly string[];
};

export type EvidenceTable = {
  /** What is not present in a repository any more goes, what is new comes; returns how many did. */
  update(repository: string, present: ReadonlySet<string>, found: readonly SnapshotEvidence[]): { added: number; removed: number };
  /** Adds those that a job has just made. */
  add(made: readonly SnapshotEvidence[]): void;
  /** Of one volume, or all; oldest first. Not to be changed: it is the same list until something changes. */
  list(volume?: string): SnapshotEvidence[];
  /** Newest first, from a page on. `id`: or its beginning. */
  page(
    filter: { volume?: string; repository?: string; run?: string; id?: string },
    page: { limit: number; beforeMs?: number; beforeId?: string },
  ): SnapshotEvidence[];
  ids(repository: string): Set<string>;
  /** How many there are of each volume in each repository. */
  counts(): { repository: string; volume: string; snapshots: number }[];
};

type Row = { document: string };
const evidenceOf = (row: unknown): SnapshotEvidence => JSON.parse((row as Row).document) as SnapshotEvidence;

export function createEvidenceTable({ database, transaction }: State): EvidenceTable {
  const insert = database.prepare('INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?)');
  const remove = database.prepare('DELETE FROM snapshots WHERE repository = ? AND id = ?');
  const idsOf = database.prepare('SELECT id FROM snapshots WHERE repository = ?');
  const all = database.prepare('SELECT document FROM snapshots ORDER BY time_ms, id');
  const ofVolume = database.prepare('SELECT document FROM snapshots WHERE volume = ? ORDER BY time_ms, id');
  const page = database.prepare(`SELECT document FROM snapshots
    WHERE (?1 IS NULL OR volume = ?1) AND (?2 IS NULL OR repository = ?2) AND (?3 IS NULL OR document ->> '$.run' = ?3) AND (time_ms, id) < (?4, ?5)
      AND (?7 IS NULL OR substr(id, 1, length(?7)) = ?7)
    ORDER BY time_ms DESC, id DESC LIMIT ?6`);
  const counts = database.prepare('SELECT repository, volume, count(*) AS snapshots FROM snapshots GROUP BY volume, repository');
  /** Read once: they are looked at again and again. */
  const lists = new Map<string | undefined, SnapshotEvidence[]>();
  const list = (volume?: string) => {
    let known = lists.get(volume);
    if (known === undefined) {
      known = (volume === undefined ? all.all() : ofVolume.all(volume)).map(evidenceOf);
      // All of them together are rarely asked for.
      if (volume !== undefined && known.length > 0) lists.set(volume, known);
    }
    return known;
  };
  const ids = (repository: string) => new Set((idsOf.all(repository) as { id: string }[]).map(({ id }) => id));
  const add = (made: readonly SnapshotEvidence[]) =>
    transaction(() => {
      for (const one of made) insert.run(one.repository, one.id, one.project, one.volume, one.timeMs, JSON.stringify(one));
      for (const { volume } of made) lists.delete(volume);
    });
  return {
    update: (repository, present, found) =>
      transaction(() => {
        const known = ids(repository);
        const fresh = found.filter(({ id }) => !known.has(id));
        add(fresh);
        const gone = [...known].filter((id) => !present.has(id));
        for (const id of gone) remove.run(repository, id);
        if (gone.length > 0) lists.clear();
        return { added: fresh.length, removed: gone.length };
      }),
    add,
    list,
    page: ({ volume, repository, run, id }, { limit, beforeMs, beforeId }) =>
      page
        .all(volume ?? null, repository ?? null, run ?? null, beforeMs ?? Number.MAX_SAFE_INTEGER, beforeId ?? '~', limit, id ?? null)
        .map(evidenceOf),
    ids,
    counts: () => counts.all() as { repository: string; volume: string; snapshots: number }[],
  };
}
