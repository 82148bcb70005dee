/** The snapshot that a finished walk of a volume amounts to. */
import { formatTime } from '../../format/time.ts';
import type { Clock } from '../../model/clock.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import {
  type Consistency,
  type Snapshot,
  type SnapshotClass,
  type SnapshotSummary,
  type StoredSnapshot,
  tagsFromIdentity,
} from '../../model/snapshot.ts';
import { processOwner } from '../../repository/process-owner.ts';
import type { Counts } from './counters.ts';

/** How a volume's cut was taken, known when it has been read. */
export type VolumeCut = {
  consistency: Consistency;
  /** Undefined when nothing that uses it was halted. */
  downtimeMs?: number;
};

export type Walked = {
  volume: {
    name: string;
    directory: string;
    excludes: { patterns?: readonly string[]; insensitivePatterns?: readonly string[]; ignorePatterns?: readonly string[] };
  };
  root: { node: TreeNode };
  tree: string;
  parent: StoredSnapshot | undefined;
  counts: Counts;
  /** See file-kinds.ts; undefined where files were not counted. */
  kinds?: string;
  startedMs: number;
  /** Default: the consistency of the run. */
  cut?: VolumeCut | undefined;
};

export type SnapshotContext = {
  project: string;
  run: string;
  class: SnapshotClass;
  consistency: Consistency;
  tags: readonly string[];
  programVersion: string;
  clock: Clock;
};

const timeOfMs = (ms: number) => formatTime(Math.floor(ms / 1000), Math.round((ms - Math.floor(ms / 1000) * 1000) * 1e6));

/** Files that change while they are read, live or though all that is known to write them was halted, make a snapshot `torn`. */
const canTear: readonly Consistency[] = ['crash', 'paused', 'stopped'];

export function snapshotOf(context: SnapshotContext, walked: Walked): Snapshot & { consistency: Consistency; summary: SnapshotSummary } {
  const { volume, root, tree, parent, counts, kinds, startedMs } = walked;
  const { consistency: hoped, downtimeMs } = walked.cut ?? { consistency: context.consistency };
  const consistency = canTear.includes(hoped) && counts.changedWhileRead > 0 ? 'torn' : hoped;
  const { hostname, username, uid, gid } = processOwner();
  const identity = { project: context.project, volume: volume.name, run: context.run, class: context.class, consistency };
  const { patterns = [], insensitivePatterns = [], ignorePatterns = [] } = volume.excludes;
  return {
    time: timeOfMs(startedMs),
    parent: parent?.id,
    tree: tree as BlobId,
    paths: [volume.directory],
    hostname,
    username,
    uid,
    gid,
    excludes: [...patterns, ...insensitivePatterns, ...ignorePatterns],
    tags: [...tagsFromIdentity(identity), ...context.tags],
    original: undefined,
    programVersion: context.programVersion,
    summary: summaryOf(counts, startedMs, context.clock.now().getTime()),
    root: root.node,
    ...(counts.unreadable === 0 ? {} : { problems: counts.unreadable }),
    ...(downtimeMs === undefined ? {} : { downtimeMs }),
    ...(kinds === undefined ? {} : { kinds, incompressibleBytes: counts.dataIncompressible }),
    unknown: undefined,
    consistency,
  };
}

function summaryOf(counts: Counts, startedMs: number, endedMs: number): SnapshotSummary {
  const { unreadable: _, unreadableAttributes: __, changedWhileRead: ___, dataIncompressible: ____, ...rest } = counts;
  return { backupStart: timeOfMs(startedMs), backupEnd: timeOfMs(endedMs), ...rest };
}
