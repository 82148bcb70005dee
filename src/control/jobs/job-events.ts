import type { ErrorDocument } from '../../model/errors.ts';
import type { CheckFinding, EngineEvent } from '../../model/events.ts';
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
export type DrilledEvent = { event: 'drilled' } & NonNullable<JobResult['drilled']>[number];

/** Adds a line to the account; what is not understood is left: the job goes on, whatever it says. */
export function account(into: JobAccount, text: string, atMs: number): void {
  try {
    addLine(into, JSON.parse(text) as Line, atMs);
  } catch {
    // Not of this program.
  }
}

function addLine(into: JobAccount, line: Line, atMs: number): void {
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
      if (line.finding.severity === 'error') addFinding(result, line.finding);
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

/** A check tells of at most so many that are affected; beyond, all count as such. */
const mostAffected = 10_000;

function addFinding(result: JobResult, { kind, affects }: CheckFinding): void {
  const isFirst = result.findings === undefined;
  result.findings = { ...result.findings, [kind]: (result.findings?.[kind] ?? 0) + 1 };
  const before = isFirst ? [] : result.affected;
  // One that does not say what it affects may affect anything.
  const affected =
    before === undefined || affects.length === 0 ? undefined : [...new Set([...before, ...affects.map(({ snapshot }) => snapshot)])];
  if (affected !== undefined && affected.length <= mostAffected) result.affected = affected;
  else delete result.affected;
}
