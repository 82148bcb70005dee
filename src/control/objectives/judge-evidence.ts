import type { SnapshotFacts } from '../../engine/maintenance/snapshot-change.ts';
import type { BrakeSettings, Suspicion } from '../../engine/maintenance/snapshot-evidence.ts';
import { emptiedOf, judgeHistory } from '../../engine/maintenance/snapshot-evidence.ts';
import type { VolumeConfiguration } from '../configuration/configuration.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import type { Anomaly, AnomalyKind } from './assessment.ts';
import type { Damage } from './damage.ts';

/** A snapshot, and why it does not count; undefined when it is good. */
export type Judged = { snapshot: SnapshotEvidence; suspicion: Suspicion | undefined; fault: string | undefined };

/**
 * Which snapshots of a volume are good: complete, consistent as promised, nothing out of the ordinary (as retention's brake judges), and not
 * found damaged. `crash` is good where the configuration asks for nothing better; where `cut` names `pause`, `stop` or `dump`, it is not.
 * @param oldestFirst of all repositories.
 */
export function judgeEvidence(
  oldestFirst: readonly SnapshotEvidence[],
  volume: Pick<VolumeConfiguration, 'cut' | 'source' | 'retention'>,
  damage: ReadonlyMap<string, Damage>,
  nowMs: number,
): Judged[] {
  const suspicions = suspicionsOf(oldestFirst, volume.retention.brake, nowMs);
  const promisesMore = volume.cut !== 'auto' && volume.cut !== 'live' && volume.source.kind !== 'directory';
  return oldestFirst.map((snapshot) => {
    const suspicion = suspicions.get(snapshot);
    return { snapshot, suspicion, fault: faultOf(snapshot, suspicion) };
  });

  function faultOf(snapshot: SnapshotEvidence, suspicion: Suspicion | undefined): string | undefined {
    if (suspicion !== undefined) return suspicion.message;
    if (snapshot.consistency === 'torn') return 'torn: files changed while they were read';
    if (promisesMore && snapshot.consistency === 'crash') return `taken while everything ran, though \`cut: ${volume.cut}\` promises more`;
    if (snapshot.repaired) return 'repaired: parts of it may be lost';
    if (damage.get(snapshot.repository)?.affects(snapshot)) return `damaged in repository ${snapshot.repository}`;
    return undefined;
  }
}

function suspicionsOf(list: readonly SnapshotEvidence[], settings: BrakeSettings, nowMs: number): ReadonlyMap<SnapshotEvidence, Suspicion> {
  const suspicions = new Map<SnapshotEvidence, Suspicion>();
  const all = list.map((snapshot) => ({ snapshot, facts: factsOf(snapshot) }));
  // A repository that was begun after the loss does not know that anything was there.
  const emptied = emptiedOf(all.map(({ facts }) => facts));
  // As retention does: repository by repository.
  for (const ofRepository of Map.groupBy(all, ({ snapshot }) => snapshot.repository).values()) {
    const facts = ofRepository.map((one) => one.facts);
    const judged = judgeHistory(facts, settings, nowMs, emptied);
    for (const one of ofRepository) {
      const suspicion = judged.get(one.facts);
      if (suspicion !== undefined) suspicions.set(one.snapshot, suspicion);
    }
  }
  return suspicions;
}

function factsOf(snapshot: SnapshotEvidence): SnapshotFacts {
  const { id, timeMs, parent, begunMs, files, bytes } = snapshot;
  const isKnown = begunMs !== undefined || files > 0 || bytes > 0;
  return {
    ...snapshot,
    id,
    time: new Date(timeMs).toISOString(),
    parent,
    begunMs,
    files: isKnown ? files : undefined,
    bytes: isKnown ? bytes : undefined,
    torn: snapshot.consistency === 'torn',
  };
}

const anomalyOfKind = {
  empty: 'emptied',
  shrunken: 'shrunken',
  unreadable: 'unreadable',
  churn: 'churn',
  extensions: 'extensions',
  entropy: 'entropy',
  grown: 'grown',
  torn: undefined,
  future: undefined,
  backdated: undefined,
} as const satisfies Record<Suspicion['kind'], AnomalyKind | undefined>;

/** What is out of the ordinary about a snapshot; undefined of what looks good, or wrong in another way. */
export function anomalyOf({ snapshot, suspicion }: Judged): Anomaly | undefined {
  const kind = suspicion && (suspicion.of === 'files' ? 'files-lost' : anomalyOfKind[suspicion.kind]);
  if (suspicion === undefined || kind === undefined) return undefined;
  return { kind, volume: snapshot.volume, snapshot: snapshot.id, timeMs: snapshot.timeMs, message: suspicion.message };
}
