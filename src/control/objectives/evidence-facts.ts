import type { VolumeConfiguration } from '../configuration/configuration.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import type { Anomaly } from './assessment.ts';
import type { Damage } from './damage.ts';
import { anomalyOf, type Judged, judgeEvidence } from './judge-evidence.ts';
import type { Measured } from './rto.ts';

/** What a volume's snapshots say about it, whatever time it is, but for those of the future. */
export type EvidenceFacts = {
  newest: Judged | undefined;
  /** The newest that counts. */
  good: SnapshotEvidence | undefined;
  /** Oldest first. */
  anomalies: readonly Anomaly[];
  /** Of those of which they are known; oldest first. */
  sizes: readonly Pick<SnapshotEvidence, 'timeMs' | 'bytes' | 'files'>[];
  /** The newest backups that stored most of what they read: they took about what there is to do. Newest first. */
  fullBackups: readonly Measured[];
  /** How long the newest took; the newest last. */
  durationsMs: readonly number[];
};

/** So many of what was measured are looked at. */
const measured = 10;

/** @param snapshots oldest first, of all repositories. */
export function evidenceFacts(
  snapshots: readonly SnapshotEvidence[],
  volume: VolumeConfiguration,
  damage: ReadonlyMap<string, Damage>,
  nowMs: number,
): EvidenceFacts {
  const judged = judgeEvidence(snapshots, volume, damage, nowMs);
  return {
    newest: judged.at(-1),
    good: judged.findLast(({ fault }) => fault === undefined)?.snapshot,
    anomalies: judged.flatMap((one) => anomalyOf(one) ?? []),
    sizes: snapshots.filter(({ begunMs, bytes }) => begunMs !== undefined || bytes > 0),
    fullBackups: snapshots
      .filter(({ bytes, addedBytes, durationMs }) => durationMs > 0 && bytes > 0 && addedBytes * 2 >= bytes)
      .slice(-measured)
      .reverse(),
    durationsMs: snapshots.slice(-measured).map(({ durationMs }) => durationMs),
  };
}
