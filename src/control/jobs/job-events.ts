import type { ErrorDocument } from '../../model/errors.ts';
import type { EngineEvent } from '../../model/events.ts';
import type { JobProgress, JobResult } from './job.ts';

/** What a job's lines add up to. */
export type JobAccount = {
  result: JobResult;
  /** The name of the run, of a backup. */
  run: string | undefined;
  progress: JobProgress | undefined;
  /** The last that was told. */
  error: ErrorDocument | undefined;
};

/** Lines that a log does without: they are of the moment. */
export const isProgress = (line: string): boolean => line.startsWith('{"event":"progress"');

export const emptyAccount = (): JobAccount => ({
  result: { snapshots: [], warnings: 0 },
  run: undefined,
  progress: undefined,
  error: undefined,
});

type Line = EngineEvent | { event: 'message'; level: string; message: string } | DrilledEvent;
/** What a drill writes of each volume. */
export type DrilledEvent = {
  event: 'drilled';
  volume: string;
  snapshot: string;
  bytes: number;
  files: number;
  durationMs: number;
  verified: boolean;
};

/** Adds a line to the account; what is not understood is left. */
export function account(into: JobAccount, text: string, atMs: number): void {
  let line: Line;
  try {
    line = JSON.parse(text) as Line;
  } catch {
    return;
  }
  const { result } = into;
  switch (line.event) {
    case 'run-started':
      into.run = line.run;
      return;
    case 'progress': {
      const { volume, filesDone, bytesDone, filesTotal, bytesTotal } = line;
      into.progress = {
        volume,
        filesDone,
        bytesDone,
        ...(filesTotal === undefined ? {} : { filesTotal }),
        ...(bytesTotal === undefined ? {} : { bytesTotal }),
        atMs,
      };
      return;
    }
    case 'snapshot':
      result.snapshots.push({
        volume: line.volume,
        id: line.id,
        consistency: line.consistency,
        unreadable: line.unreadable,
        bytes: line.summary.totalBytesProcessed,
        files: line.summary.totalFilesProcessed,
        addedBytes: line.summary.dataAddedPacked,
        ...(line.downtimeMs === undefined ? {} : { downtimeMs: line.downtimeMs }),
      });
      return;
    case 'drilled': {
      const { event: _, ...drilled } = line;
      result.drilled = [...(result.drilled ?? []), drilled];
      return;
    }
    case 'finding':
      if (line.finding.severity === 'error')
        result.findings = { ...result.findings, [line.finding.kind]: (result.findings?.[line.finding.kind] ?? 0) + 1 };
      return;
    case 'warning':
      result.warnings += line.count;
      return;
    case 'message':
      if (line.level === 'warning') result.warnings++;
      return;
    case 'error':
      into.error = line.error;
      return;
    default:
  }
}
