import { setImmediate } from 'node:timers/promises';
import type { Consistency, SnapshotClass, SnapshotSummary } from '../../model/snapshot.ts';
import { repairedTag } from '../../model/snapshot.ts';
import type { EvidenceTable, SnapshotEvidence } from '../state/evidence-table.ts';

/** A line of `holdfast snapshots --json`, as far as it is evidence. */
export type SnapshotLine = {
  id: string;
  time: string;
  parent?: string;
  project?: string;
  volume?: string;
  run?: string;
  class?: SnapshotClass;
  consistency?: Consistency;
  tags: string[];
  unreadable?: number;
  downtimeMs?: number;
  kinds?: string;
  incompressibleBytes?: number;
  summary?: SnapshotSummary;
};
/** Its last line, with `--except`: all ids that there are. */
type PresentLine = { present: string[] };

/** Gives the lines of `holdfast snapshots --json --all --except FILE`: the snapshots of a repository that are not known yet, and all ids. */
export type ListSnapshots = (repository: string, known: readonly string[], signal?: AbortSignal) => AsyncIterable<string>;

/** A backup says a hundredth of that. Who can write to the repository could fill the daemon's memory with what he says. */
const longestEvidence = 64 * 1024;

/**
 * Makes what is known of a repository what it holds; only snapshots that are new are read. Those of other tools and projects are left out,
 * and those that say absurdly much.
 * They are written a portion at a time: who looks meanwhile sees some of them.
 * @throws when the listing fails; then nothing changes.
 */
export async function refreshEvidence(
  table: EvidenceTable,
  repository: string,
  project: string,
  list: ListSnapshots,
): Promise<{ added: number; removed: number }> {
  const fresh: SnapshotEvidence[] = [];
  let present: ReadonlySet<string> | undefined;
  for await (const text of list(repository, [...table.ids(repository)])) {
    if (text.length > longestEvidence && !text.startsWith('{"present":')) continue;
    const line = JSON.parse(text) as SnapshotLine | PresentLine;
    if ('present' in line) present = new Set(line.present);
    else {
      const evidence = evidenceOf(line, repository);
      if (evidence?.project === project) fresh.push(evidence);
    }
  }
  if (present === undefined) throw new Error(`the listing of ${repository} broke off`);
  return await update(table, repository, present, fresh);
}

/** Forgets all that is known of a repository; returns how many snapshots that were. */
export async function removeEvidence(table: EvidenceTable, repository: string): Promise<number> {
  return (await update(table, repository, new Set(), [])).removed;
}

/** So many are written at once: all else waits meanwhile. */
const portion = 100;

async function update(
  table: EvidenceTable,
  repository: string,
  present: ReadonlySet<string>,
  found: readonly SnapshotEvidence[],
): Promise<{ added: number; removed: number }> {
  const known = table.ids(repository);
  const fresh = found.filter(({ id }) => !known.has(id));
  const gone = [...known].filter((id) => !present.has(id));
  // What comes in the place of others is there before they go.
  for (let i = 0; i < fresh.length; i += portion) {
    if (i > 0) await setImmediate();
    table.add(fresh.slice(i, i + portion));
  }
  for (let i = 0; i < gone.length; i += portion) {
    if (i > 0) await setImmediate();
    table.remove(repository, gone.slice(i, i + portion));
  }
  return { added: fresh.length, removed: gone.length };
}

/** Undefined for snapshots that Holdfast did not make. */
export function evidenceOf(line: SnapshotLine, repository: string): SnapshotEvidence | undefined {
  const { id, time, project, volume, run, class: snapshotClass, consistency, tags, summary } = line;
  if (project === undefined || volume === undefined || run === undefined) return undefined;
  return {
    repository,
    id,
    project,
    volume,
    run,
    timeMs: Date.parse(time),
    ...(line.parent === undefined ? {} : { parent: line.parent }),
    ...(summary === undefined ? {} : { begunMs: Date.parse(summary.backupStart) }),
    class: snapshotClass ?? 'manual',
    consistency: consistency ?? 'crash',
    repaired: tags.includes(repairedTag),
    unreadable: line.unreadable ?? 0,
    bytes: summary?.totalBytesProcessed ?? 0,
    files: summary?.totalFilesProcessed ?? 0,
    filesNew: summary?.filesNew ?? 0,
    filesChanged: summary?.filesChanged ?? 0,
    addedBytes: summary?.dataAdded ?? 0,
    addedPackedBytes: summary?.dataAddedPacked ?? 0,
    ...(line.incompressibleBytes === undefined ? {} : { incompressibleBytes: line.incompressibleBytes }),
    ...(line.kinds === undefined ? {} : { kinds: line.kinds }),
    durationMs: summary === undefined ? 0 : Math.max(0, Date.parse(summary.backupEnd) - Date.parse(summary.backupStart)),
    downtimeMs: line.downtimeMs,
    tags: tags.filter((tag) => !/^(?:project|volume|run|class|consistency)=/.test(tag)),
  };
}
