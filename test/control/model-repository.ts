import { planByPolicy } from '../../src/cli/forget-plan.ts';
import type { Configuration } from '../../src/control/configuration/configuration.ts';
import type { SnapshotLine } from '../../src/control/evidence/read-evidence.ts';
import type { SnapshotId } from '../../src/model/ids.ts';
import { type Consistency, type StoredSnapshot, tagsFromIdentity } from '../../src/model/snapshot.ts';

export type ModelSnapshot = { line: SnapshotLine & { volume: string; consistency: Consistency }; stored: StoredSnapshot };

/** What a repository holds, of which only the snapshots matter: `backup`, `forget` and `snapshots` without the bytes. */
export type ModelRepository = {
  snapshots: Map<string, ModelSnapshot>;
  backUp(made: { volume: string; run: string; fromMs: number; untilMs: number; consistency: Consistency }): ModelSnapshot;
  /** As `holdfast forget` decides; returns what was there before. */
  forget(configuration: Configuration, nowMs: number): ModelSnapshot[];
};

const files = 5_000;
const bytes = 1e9;

export function createModelRepository(project: string): ModelRepository {
  const snapshots = new Map<string, ModelSnapshot>();
  const parents = new Map<string, string>();
  let made = 0;
  return {
    snapshots,
    backUp({ volume, run, fromMs, untilMs, consistency }) {
      const id = (made++).toString(16).padStart(64, '0') as SnapshotId;
      const parent = parents.get(volume) as SnapshotId | undefined;
      parents.set(volume, id);
      const [begin, end] = [new Date(fromMs).toISOString(), new Date(untilMs).toISOString()];
      const summary = {
        backupStart: begin,
        backupEnd: end,
        filesNew: parent === undefined ? files : 5,
        filesChanged: parent === undefined ? 0 : 20,
        filesUnmodified: parent === undefined ? 0 : files - 25,
        dirsNew: 0,
        dirsChanged: 1,
        dirsUnmodified: 10,
        dataBlobs: 30,
        treeBlobs: 1,
        dataAdded: parent === undefined ? bytes : 1e6,
        dataAddedPacked: parent === undefined ? bytes / 2 : 5e5,
        totalFilesProcessed: files,
        totalBytesProcessed: bytes,
      };
      const tags = tagsFromIdentity({ project, volume, run, class: 'scheduled', consistency });
      const line = { id, time: begin, project, volume, run, class: 'scheduled' as const, consistency, tags, summary };
      const stored: StoredSnapshot = {
        id,
        time: begin,
        parent,
        tree: '0'.repeat(64) as StoredSnapshot['tree'],
        paths: ['/'],
        hostname: 'model',
        username: '',
        uid: 0,
        gid: 0,
        excludes: [],
        tags,
        original: undefined,
        programVersion: '',
        summary,
        root: undefined,
        unknown: undefined,
      };
      const snapshot = { line: { ...line, ...(parent === undefined ? {} : { parent }) }, stored };
      snapshots.set(id, snapshot);
      return snapshot;
    },
    forget(configuration, nowMs) {
      const before = [...snapshots.values()];
      const all = before.map(({ stored }) => stored);
      const plan = planByPolicy({ all, chosen: all, configuration, keep: {}, grouping: undefined, now: new Date(nowMs) });
      for (const { keep, snapshot } of plan) if (!keep) snapshots.delete(snapshot.id);
      return before;
    },
  };
}
