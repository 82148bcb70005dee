import type { ErrorDocument } from './errors.ts';
import type { Consistency, SnapshotClass, SnapshotSummary } from './snapshot.ts';

export type Operation = 'backup' | 'restore' | 'check' | 'copy' | 'import' | 'drill';

/**
 * What the engine reports while it works. One stream feeds the terminal, JSON lines and later the daemon; rendering is
 * the receiver's business. Paths are for display: escaped, relative to the volume's root.
 */
export type EngineEvent =
  | { event: 'run-started'; operation: Operation; run: string; volumes: string[] }
  /** `from`, of a backup: the directory that it is read from, or what a stream comes from. */
  | { event: 'volume-started'; volume: string; parent?: string; from?: string }
  | {
      event: 'progress';
      volume: string;
      filesDone: number;
      bytesDone: number;
      /** Undefined while it is not yet known. */
      filesTotal?: number;
      bytesTotal?: number;
    }
  /** One file could not be handled as it should; the work goes on. */
  | { event: 'file-problem'; volume: string; file: string; problem: FileProblem; message: string }
  /** A kind of thing that happened `count` times; said once, at the end of a volume. */
  | { event: 'warning'; volume: string; warning: string; count: number }
  | {
      event: 'snapshot';
      volume: string;
      id: string;
      time: string;
      class: SnapshotClass;
      consistency: Consistency;
      dryRun: boolean;
      /** The longest time that a container which uses the volume was halted for it; absent when none was. */
      downtimeMs?: number;
      unreadable: number;
      summary: SnapshotSummary;
    }
  /** How the volumes will be cut, before anything is done. `containers` are those that write to a volume, `halts` in their order. */
  | {
      event: 'cut-planned';
      volumes: { volume: string; way: 'live' | 'pause' | 'stop' | 'dump'; reason: string; containers: string[] }[];
      halts: { container: string; action: 'pause' | 'stop' | 'scale' }[][];
    }
  /** All containers that were halted run again; longest first. */
  | { event: 'cut-finished'; containers: { container: string; action: 'pause' | 'stop' | 'scale'; downtimeMs: number }[] }
  | { event: 'restored'; volume: string; snapshot: string; target: string; result: RestoreResult }
  | { event: 'finding'; finding: CheckFinding }
  | ({ event: 'snapshot-copied' } & CopiedSnapshot)
  /** An operation of a storage failed and is tried again after `waitMs`; it is in trouble for `troubleMs` by then. */
  | { event: 'storage-retry'; storage: string; what: string; attempt: number; waitMs: number; troubleMs: number; reason: string }
  | { event: 'run-finished'; operation: Operation; run: string; durationMs: number; exitCode: number }
  | { event: 'error'; error: ErrorDocument };

export type FileProblem =
  /** Could not be opened or read; its content is not in the snapshot. */
  | 'unreadable'
  /** Was there in the directory's listing, and gone when it was to be read. */
  | 'vanished'
  /** Its size or times changed while it was read; what was read is in the snapshot. */
  | 'changed'
  /** Became something else (a file a directory, say) between the listing and the reading. */
  | 'type-changed'
  /** Metadata (owner, attribute, time) could not be read or set. */
  | 'metadata'
  /** The snapshot's copy is damaged and could not be restored. */
  | 'damaged'
  /** In an archive, and nothing that a snapshot takes over. */
  | 'left-out'
  /** The target could not be written. */
  | 'unwritable'
  /** Read back after a restore, it is not what the snapshot holds. */
  | 'differs';

export type RestoreResult = {
  filesRestored: number;
  filesUnchanged: number;
  filesSkipped: number;
  entriesDeleted: number;
  /** Bytes of file content that were written. */
  bytesWritten: number;
  /** Bytes of file content that were there already. */
  bytesUnchanged: number;
  bytesTotal: number;
  filesTotal: number;
  dirsTotal: number;
  problems: number;
  warnings: number;
  verified: boolean;
  durationMs: number;
  /** How much of `durationMs` it took to read everything back; absent where nobody asked for it. */
  readBackMs?: number;
};

/** What a copy between repositories did about a snapshot. */
export type CopiedSnapshot = {
  volume: string;
  /** Ids in the source, and in the destination; the latter only when it is there. */
  source: string;
  id?: string;
  time: string;
  /** `damaged`: the source has lost something of it, so that it was not copied. */
  outcome: 'copied' | 'would-copy' | 'present' | 'damaged';
};

/** Something wrong with a repository. `affects` names snapshots and paths, as far as they are known. */
export type CheckFinding = {
  severity: 'error' | 'note';
  /** Stable name of the kind of damage, for programs. */
  kind: string;
  message: string;
  /** The repository file at fault, as `kind/name`. */
  file?: string;
  affects: { snapshot: string; volume?: string; paths: string[] }[];
};

export type Report = (event: EngineEvent) => void;
