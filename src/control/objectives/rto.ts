import { formatDuration } from '../../model/quantities.ts';
import type { Reason, VolumeAssessment } from './assessment.ts';
import { formatAge } from './rpo.ts';
import { median, spread } from './statistics.ts';

/** A restore, or a backup that read everything, as it was measured. */
export type Measured = { bytes: number; files: number; durationMs: number };

/** What a file costs beside its content, in bytes that could be written meanwhile. */
const bytesOfFile = 64 * 1024;
/** Opening a repository, and beginning. */
const fixedMs = 2_000;

const workOf = ({ bytes, files }: { bytes: number; files: number }): number => bytes + files * bytesOfFile + 1;

/**
 * Predicts a restore from restores that were measured; without any, from backups that stored most of what they read, which say only
 * in which order of size it will be.
 * @param drills of this volume; newest first.
 */
export function predictRto(
  objectiveMs: number,
  size: { bytes: number; files: number } | undefined,
  drills: readonly Measured[],
  backups: readonly Measured[],
): VolumeAssessment['rto'] {
  const unknown = { objectiveMs, predictedMs: undefined, leastMs: undefined, mostMs: undefined, basis: undefined };
  const basis = drills.length > 0 ? 'drills' : 'throughput';
  const measured = (drills.length > 0 ? drills : backups).slice(0, 10);
  if (size === undefined || measured.length === 0) return unknown;
  const rates = measured.map((one) => Math.max(0, one.durationMs - fixedMs) / workOf(one));
  const rate = median(rates) as number;
  const work = workOf(size);
  const predictedMs = fixedMs + rate * work;
  // Few measurements: wide. One drill says half to double; many, their own spread and a tenth. A backup is no restore: a quarter to four times.
  const factor = basis === 'drills' ? 1.1 + 0.9 / measured.length : 4;
  const deviationMs = 3 * spread(rates) * work;
  return {
    objectiveMs,
    predictedMs: Math.round(predictedMs),
    leastMs: Math.round(Math.max(0, Math.min(predictedMs / factor, predictedMs - deviationMs))),
    mostMs: Math.round(Math.max(predictedMs * factor, predictedMs + deviationMs)),
    basis,
  };
}

/** @param drilled whether drills are made by itself: else it is known to whoever made one by hand, and to nobody here. */
export function rtoReasons(
  volume: string,
  { objectiveMs, predictedMs, leastMs, mostMs, basis }: VolumeAssessment['rto'],
  drilled: boolean,
): Reason[] {
  if (predictedMs === undefined || leastMs === undefined || mostMs === undefined) {
    if (!drilled) return [];
    const message = 'how long a restore takes was never measured';
    return [{ kind: 'rto-unknown', condition: 'at-risk', message, remedy: `holdfast drill ${volume}` }];
  }
  if (mostMs <= objectiveMs) return [];
  const from = basis === 'drills' ? 'drills' : 'its backups alone';
  const message = `a restore takes about ${formatAge(predictedMs)} (${formatAge(leastMs)} to ${formatAge(mostMs)}, by ${from}), the objective is ${formatDuration(objectiveMs)}`;
  const remedy =
    basis === 'drills' ? 'a repository nearer by, a faster link, or a longer objective' : `measure it: holdfast drill ${volume}`;
  const isBreached = leastMs > objectiveMs;
  return [{ kind: isBreached ? 'rto-breached' : 'rto-at-risk', condition: isBreached ? 'broken' : 'at-risk', message, remedy }];
}
