/** Counts what a restore does, and reports problems, warnings and progress. */
import type { FileProblem, Report, RestoreResult } from '../../model/events.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { WarningCounts } from './messages.ts';
import { refusedBitOf } from './metadata.ts';

const progressIntervalMs = 100;

type Counts = Omit<RestoreResult, 'verified' | 'durationMs' | 'problems' | 'warnings'>;

export class Tally {
  readonly counts: Counts = {
    filesRestored: 0,
    filesUnchanged: 0,
    filesSkipped: 0,
    entriesDeleted: 0,
    bytesWritten: 0,
    bytesUnchanged: 0,
    bytesTotal: 0,
    filesTotal: 0,
    dirsTotal: 0,
  };
  problems = 0;
  /** Bits of metadata that could not be set everywhere, which a verification therefore doesn't hold against the target. */
  refusedBits = 0;
  /** Paths that were reported or skipped, which a verification therefore leaves out. */
  readonly settledPaths = new Set<RawString>();
  private readonly warnings = new Map<string, number>();
  private readonly volume: string;
  private readonly report: Report;
  private readonly expected: { filesTotal?: number; bytesTotal?: number };
  private lastProgressMs = 0;

  constructor(volume: string, report: Report, expected: { filesTotal?: number; bytesTotal?: number }) {
    this.volume = volume;
    this.report = report;
    this.expected = expected;
  }

  problem(path: RawString, problem: FileProblem, message: string): void {
    this.problems++;
    this.settledPaths.add(path);
    this.report({ event: 'file-problem', volume: this.volume, file: displayRaw(path), problem, message });
  }

  warn(warning: string, count = 1): void {
    this.refusedBits |= refusedBitOf(warning);
    this.warnings.set(warning, (this.warnings.get(warning) ?? 0) + count);
  }

  warnAll(counts: WarningCounts): void {
    for (const [warning, count] of Object.entries(counts)) this.warn(warning, count);
  }

  restored(bytesWritten: number, bytesUnchanged = 0): void {
    this.counts.filesRestored++;
    this.counts.bytesWritten += bytesWritten;
    this.counts.bytesUnchanged += bytesUnchanged;
  }

  unchanged(bytes: number): void {
    this.counts.filesUnchanged++;
    this.counts.bytesUnchanged += bytes;
  }

  /** At most ten a second. */
  progress(): void {
    const now = performance.now();
    if (now - this.lastProgressMs < progressIntervalMs) return;
    this.lastProgressMs = now;
    const { filesRestored, filesUnchanged, filesSkipped, bytesWritten, bytesUnchanged } = this.counts;
    const filesDone = filesRestored + filesUnchanged + filesSkipped;
    this.report({ event: 'progress', volume: this.volume, filesDone, bytesDone: bytesWritten + bytesUnchanged, ...this.expected });
  }

  /** Says each kind of warning once. @returns how many things were warned about. */
  reportWarnings(): number {
    let total = 0;
    for (const [warning, count] of this.warnings) {
      total += count;
      this.report({ event: 'warning', volume: this.volume, warning, count });
    }
    return total;
  }
}
