/**
 * The retention brake: snapshots that look wrong never let good ones expire. Pure.
 *
 * A mount that is missing, ransomware, or an application that lost its data make snapshots, too, and a policy that counts them pushes the
 * good ones out, day by day. So good snapshots stay as if the wrong ones did not exist, and the newest good one stays in any case. One that
 * is older than its own parent was taken by a clock that was behind: it is newer than it says, and stays as long as its parent does.
 */

import type { SnapshotId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { snapshotTimeMs } from '../../repository/snapshots.ts';
import { type Decision, decideGroup, type PolicyFor } from './retention.ts';
import { type Evidence, isOfClock, type Suspicion } from './snapshot-evidence.ts';
import type { SnapshotGroup } from './snapshot-groups.ts';

export type BrakedDecision = Decision & {
  /** What looks wrong with it; undefined when it looks good, or nobody knows. */
  suspicion: Suspicion | undefined;
  /** Whether it stays only because of the brake. */
  held: boolean;
  /** Whether it is held for a snapshot whose time is wrong: a policy that is forced means nothing by that. */
  heldByClock: boolean;
};

/**
 * Decisions with the brake applied: what was to go and is held stays, and says so in its reasons.
 * @param decisions of `decideRetention`, group by group.
 * @param policyFor the policies that led to the decisions.
 */
export function applyBrake(decisions: readonly Decision[], evidence: Evidence, policyFor: PolicyFor, now: Date): BrakedDecision[] {
  return [...Map.groupBy(decisions, ({ group }) => group)].flatMap(([group, ofGroup]) =>
    brakeGroup(group, ofGroup, evidence, policyFor, now),
  );
}

function brakeGroup(
  group: SnapshotGroup,
  decisions: readonly Decision[],
  evidence: Evidence,
  policyFor: PolicyFor,
  now: Date,
): BrakedDecision[] {
  const policy = policyFor(group);
  /** What would stay without those that look wrong in a way. */
  const keptWithout = (isWrong: (suspicion: Suspicion) => boolean): Map<StoredSnapshot, Decision> => {
    const others = group.snapshots.filter((snapshot) => {
      const suspicion = evidence.get(snapshot);
      return suspicion === undefined || !isWrong(suspicion);
    });
    if (policy === undefined || others.length === group.snapshots.length) return new Map();
    const kept = decideGroup({ ...group, snapshots: others }, policy, now).filter(({ keep }) => keep);
    return new Map(kept.map((decision) => [decision.snapshot, decision]));
  };
  const withoutWrong = keptWithout(() => true);
  const withoutWrongTimes = keptWithout(isOfClock);
  const newestGood = newestToKeep(group, evidence);
  // A parent of the future proves nothing about its children's clock.
  const times = new Map(
    group.snapshots.map(({ id, ...snapshot }) => [id, snapshotTimeMs(snapshot)] as const).filter(([, ms]) => ms <= now.getTime()),
  );
  return decisions.map((decision): BrakedDecision => {
    const { snapshot } = decision;
    const suspicion = evidence.get(snapshot);
    if (decision.keep) return { ...decision, suspicion, held: false, heldByClock: false };
    const byClock = withoutWrongTimes.get(snapshot)?.reasons.map((reason) => `held: ${reason}, without those of a wrong time`) ?? [];
    const reasons = withoutWrong.get(snapshot)?.reasons.map((reason) => `held: ${reason}, without those that look wrong`) ?? [];
    if (snapshot === newestGood) reasons.unshift(suspicion === undefined ? 'held: the newest good snapshot' : 'held: the newest snapshot');
    if (isOlderThanParent(snapshot, times)) reasons.push('held: older than its parent, the clock was behind');
    if (suspicion?.origin) reasons.push('held: those after it are judged by it');
    const heldByClock = byClock.length > 0;
    if (heldByClock && reasons.length === 0) reasons.push(...byClock);
    const held = reasons.length > 0;
    return held ? { ...decision, suspicion, keep: true, reasons, held, heldByClock } : { ...decision, suspicion, held, heldByClock };
  });
}

const isOlderThanParent = (snapshot: StoredSnapshot, times: ReadonlyMap<SnapshotId, number>): boolean =>
  snapshot.parent !== undefined && snapshotTimeMs(snapshot) < (times.get(snapshot.parent) ?? Number.NEGATIVE_INFINITY);

/** The snapshot of a group that must not go: the newest good one, or the newest if none is good. */
export const newestToKeep = ({ snapshots }: SnapshotGroup, evidence: Evidence): StoredSnapshot | undefined =>
  snapshots.find((snapshot) => !evidence.has(snapshot)) ?? snapshots[0];
