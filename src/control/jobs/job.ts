import type { ErrorDocument } from '../../model/errors.ts';
import type { Consistency } from '../../model/snapshot.ts';

/**
 * What the control plane has done: one command of this program, run as a child process. The kinds are what a schedule, a person or
 * another program can ask for.
 */
export const jobKinds = ['backup', 'forget', 'check', 'copy', 'drill', 'usage'] as const;
export type JobKind = (typeof jobKinds)[number];

/** What is to be done; it says the same on every host, and holds no secret. Names are those of `holdfast.yaml`. */
export type JobSpec =
  /** Without volumes: all. */
  | { kind: 'backup'; repository: string; volumes?: readonly string[]; class: 'scheduled' | 'manual'; tags?: readonly string[] }
  /** Forgets what retention lets go, and prunes. */
  | { kind: 'forget'; repository: string }
  /** Reads the `part`th of `parts` of all packs, from 1; structure and index always. */
  | { kind: 'check'; repository: string; part: number; parts: number }
  | { kind: 'copy'; from: string; to: string }
  /** Without volumes: all. */
  | { kind: 'drill'; repository: string; volumes?: readonly string[] }
  /** Measures the volumes. */
  | { kind: 'usage' };

/**
 * `queued` and `running` are under way; all others are ends. `incomplete`: done, but some data could not be read (exit code 3). `lost`: it
 * ran when the control plane died, and nobody knows how it ended; what it left in repositories counts all the same.
 */
export const jobStates = ['queued', 'running', 'succeeded', 'incomplete', 'failed', 'cancelled', 'lost'] as const;
export type JobState = (typeof jobStates)[number];

export type Job = {
  /** Sorts by the time of its making. */
  id: string;
  spec: JobSpec;
  state: JobState;
  /** From 0 (whenever there is room) to 9 (before all others). */
  priority: number;
  /** The schedule that it is of; undefined when somebody asked for it. */
  schedule: string | undefined;
  /** The instant of the schedule that it stands for; with `schedule` it exists once. Milliseconds since 1970, as all times here. */
  dueMs: number | undefined;
  /** Who asked for it: `schedule`, or the name of a token. */
  startedBy: string;
  queuedMs: number;
  /** It does not begin earlier: jitter, or the wait before another attempt. */
  notBeforeMs: number;
  /** How long it may run before it is ended. */
  deadlineMs: number;
  startedMs: number | undefined;
  endedMs: number | undefined;
  /** 1 at first. */
  attempt: number;
  /** So many attempts at most. */
  attempts: number;
  /** Process and its start as the kernel counts it, by which a restarted control plane knows it again. */
  process: { pid: number; startTicks: string } | undefined;
  /** How often the control plane died while it ran. */
  losses?: number;
  /**
   * Of a backup that is queued again: it ran in this time, and may have been done. Before it begins, its repository is asked. Milliseconds
   * since 1970.
   */
  unsettled?: { sinceMs: number; untilMs: number };
  exitCode: number | undefined;
  /** Why it failed; of one that waits for another attempt, why the last one did. */
  error: ErrorDocument | undefined;
  result: JobResult | undefined;
};

/** What is known of a job's work when it has ended. */
export type JobResult = {
  /** Snapshots that it made. */
  snapshots: {
    volume: string;
    id: string;
    consistency: Consistency;
    unreadable: number;
    bytes: number;
    files: number;
    addedBytes: number;
    downtimeMs?: number;
  }[];
  /** Volumes that were brought back and verified, of a drill. */
  drilled?: {
    volume: string;
    snapshot: string;
    bytes: number;
    files: number;
    durationMs: number;
    /** How much of `durationMs` was reading it back: a restore does without. */
    readBackMs?: number;
    verified: boolean;
  }[];
  /** Kinds of damage and how often, of a check. */
  findings?: Record<string, number>;
  /** Ids of snapshots that the damage affects; undefined where a check does not know of all. */
  affected?: readonly string[];
  warnings: number;
};

/** Progress of a running job, for people. */
export type JobProgress = { volume?: string; filesDone: number; filesTotal?: number; bytesDone: number; bytesTotal?: number; atMs: number };

export const isOver = (state: JobState): boolean => state !== 'queued' && state !== 'running';

/** Repositories that a job writes to or reads, and whether it needs one of them for itself. */
export function repositoriesOf(spec: JobSpec): { name: string; alone: boolean }[] {
  switch (spec.kind) {
    case 'copy':
      return [
        { name: spec.from, alone: false },
        { name: spec.to, alone: false },
      ];
    case 'forget':
      return [{ name: spec.repository, alone: true }];
    case 'usage':
      return [];
    default:
      return [{ name: spec.repository, alone: false }];
  }
}
