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
  add(made: readonly SnapshotEvidence[]): void;
  remove(repository: string, ids: readonly string[]): void;
  /** Of one volume, or all; oldest first. Not to be changed: it is the same list until something changes. */
  list(volume?: string): readonly SnapshotEvidence[];
  ids(repository: string): Set<string>;
  /** How many there are of each volume in each repository. */
  counts(): { repository: string; volume: string; snapshots: number }[];
};

type Row = { document: string };
const evidenceOf = (row: unknown): SnapshotEvidence => JSON.parse((row as Row).document) as SnapshotEvidence;

/** @param onFailure told when the state cannot take something (a full disk): it counts all the same, and is written with what comes next. */
export function createEvidenceTable({ database, transaction }: State, onFailure?: (error: unknown) => void): EvidenceTable {
  const insert = database.prepare(`INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6 ->> '$.run')`);
  const remove = database.prepare('DELETE FROM snapshots WHERE repository = ? AND id = ?');
  const all = database.prepare('SELECT document FROM snapshots ORDER BY time_ms, id');
  /** Read once: they are looked at again and again. */
  let read: HeldEvidence | undefined;
  const held = () => {
    read ??= holdEvidence(function* () {
      for (const row of all.iterate()) yield evidenceOf(row);
    });
    return read;
  };
  /** What the state has not taken yet, in its order. */
  let unwritten: (() => void)[] = [];
  const write = (work: () => void) => {
    // Read before it is written: what the state does not take is nowhere else.
    if (onFailure !== undefined) held();
    try {
      transaction(() => {
        for (const one of unwritten) one();
        work();
      });
      unwritten = [];
    } catch (error) {
      if (onFailure === undefined) throw error;
      unwritten.push(work);
      onFailure(error);
    }
  };
  return {
    add(made) {
      const documents = made.map((one) => JSON.stringify(one));
      write(() => {
        for (const [i, one] of made.entries())
          insert.run(one.repository, one.id, one.project, one.volume, one.timeMs, documents[i] as string);
      });
      read?.add(documents.map((document) => evidenceOf({ document })));
    },
    remove(repository, ids) {
      write(() => {
        for (const id of ids) remove.run(repository, id);
      });
      read?.remove(repository, ids);
    },
    list: (volume) => held().list(volume),
    ids: (repository) => held().ids(repository),
    counts: () => held().counts(),
  };
}

/** The rows of the evidence table in memory, by volume and by repository; a change costs what changes, and not all that there is. */
type HeldEvidence = Pick<EvidenceTable, 'add' | 'remove' | 'list' | 'ids' | 'counts'>;

/** @param rows all that there are, oldest first. */
function holdEvidence(rows: () => Iterable<SnapshotEvidence>): HeldEvidence {
  /** Lists are replaced and never changed: who has one goes on with it. */
  const lists = new Map<string, readonly SnapshotEvidence[]>();
  const repositories = new Map<string, Map<string, SnapshotEvidence>>();
  let all: readonly SnapshotEvidence[] | undefined;

  const inRepository = (name: string) => {
    const known = repositories.get(name) ?? new Map<string, SnapshotEvidence>();
    repositories.set(name, known);
    return known;
  };
  const take = (found: Iterable<SnapshotEvidence>) => {
    const byVolume = new Map<string, SnapshotEvidence[]>();
    for (const one of found) {
      inRepository(one.repository).set(one.id, one);
      const others = byVolume.get(one.volume);
      if (others === undefined) byVolume.set(one.volume, [one]);
      else others.push(one);
    }
    return byVolume;
  };
  const leaving = (which: readonly Pick<SnapshotEvidence, 'repository' | 'id'>[]) => {
    const found = new Set<SnapshotEvidence>();
    for (const { repository, id } of which) {
      const one = repositories.get(repository)?.get(id);
      if (one !== undefined) found.add(one);
      repositories.get(repository)?.delete(id);
    }
    return found;
  };
  const replace = (old: ReadonlySet<SnapshotEvidence>, fresh: ReadonlyMap<string, readonly SnapshotEvidence[]>) => {
    for (const volume of new Set([...[...old].map((one) => one.volume), ...fresh.keys()])) {
      const list = [...(lists.get(volume) ?? none).filter((one) => !old.has(one)), ...(fresh.get(volume) ?? none)].sort(byTime);
      if (list.length === 0) lists.delete(volume);
      else lists.set(volume, list);
    }
    all = undefined;
  };
  for (const [volume, ofVolume] of take(rows())) lists.set(volume, ofVolume);

  return {
    list(volume) {
      if (volume !== undefined) return lists.get(volume) ?? none;
      all ??= [...lists.values()].flat().sort(byTime);
      return all;
    },
    ids: (repository) => new Set(repositories.get(repository)?.keys()),
    counts: () =>
      [...lists].flatMap(([volume, list]) =>
        [...Map.groupBy(list, ({ repository }) => repository)].map(([repository, { length }]) => ({
          repository,
          volume,
          snapshots: length,
        })),
      ),
    add(made) {
      // Of two with the same id the last counts, as in the database.
      const last = new Map(made.map((one) => [`${one.repository} ${one.id}`, one]));
      replace(leaving([...last.values()]), take(last.values()));
    },
    remove: (repository, ids) => replace(leaving(ids.map((id) => ({ repository, id }))), new Map()),
  };
}

const none: readonly SnapshotEvidence[] = [];

/** As the database sorts them. */
const byTime = (a: SnapshotEvidence, b: SnapshotEvidence): number => a.timeMs - b.timeMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
