/**
 * The retention brake: snapshots that look wrong never let good ones expire. Pure.
 *
 * A mount that is missing, ransomware, or an application that lost its data make snapshots, too, and a policy that counts them pushes the
 * good ones out, day by day. So good snapshots stay as if the wrong ones did not exist, and the newest good one stays in any case.
 */
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { type Decision, decideGroup, type PolicyFor } from './retention.ts';
import type { Evidence, Suspicion } from './snapshot-evidence.ts';
import type { SnapshotGroup } from './snapshot-groups.ts';

export type BrakedDecision = Decision & {
  /** What looks wrong with it; undefined when it looks good, or nobody knows. */
  suspicion: Suspicion | undefined;
  /** Whether it stays only because of the brake. */
  held: boolean;
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
  const good = group.snapshots.filter((snapshot) => !evidence.has(snapshot));
  const withoutWrong = new Map<StoredSnapshot, Decision>();
  const policy = policyFor(group);
  if (policy !== undefined && good.length < group.snapshots.length) {
    for (const decision of decideGroup({ ...group, snapshots: good }, policy, now))
      if (decision.keep) withoutWrong.set(decision.snapshot, decision);
  }
  const newestGood = newestToKeep(group, evidence);
  return decisions.map((decision): BrakedDecision => {
    const { snapshot } = decision;
    const suspicion = evidence.get(snapshot);
    if (decision.keep) return { ...decision, suspicion, held: false };
    const reasons = withoutWrong.get(snapshot)?.reasons.map((reason) => `held: ${reason}, without those that look wrong`) ?? [];
    if (snapshot === newestGood) reasons.unshift(suspicion === undefined ? 'held: the newest good snapshot' : 'held: the newest snapshot');
    if (suspicion?.origin) reasons.push('held: those after it are judged by it');
    return reasons.length > 0 ? { ...decision, suspicion, keep: true, reasons, held: true } : { ...decision, suspicion, held: false };
  });
}

/** The snapshot of a group that must not go: the newest good one, or the newest if none is good. */
export const newestToKeep = ({ snapshots }: SnapshotGroup, evidence: Evidence): StoredSnapshot | undefined =>
  snapshots.find((snapshot) => !evidence.has(snapshot)) ?? snapshots[0];
