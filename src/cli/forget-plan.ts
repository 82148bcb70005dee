/** What `forget` is to do: by policy, or with the snapshots that were named; with the brake on, or off. */
import type { Configuration, RetentionConfiguration } from '../control/configuration/configuration.ts';
import { defaultRetention } from '../control/configuration/resolve.ts';
import { decideRetention, type PolicyFor } from '../engine/maintenance/retention.ts';
import { applyBrake, type BrakedDecision, newestToKeep } from '../engine/maintenance/retention-brake.ts';
import { isOfClock, judgeSnapshots, type Suspicion } from '../engine/maintenance/snapshot-evidence.ts';
import { groupSnapshots, type ResticGrouping, type SnapshotGroup } from '../engine/maintenance/snapshot-groups.ts';
import { HoldfastError } from '../model/errors.ts';
import type { StoredSnapshot } from '../model/snapshot.ts';
import { type KeepOptions, manualOfOptions, policyOfOptions } from './keep-options.ts';

export type ForgetRequest = {
  /** All snapshots of the repository: what is usual in a volume is known from all of its snapshots. */
  all: readonly StoredSnapshot[];
  /** Those that a policy is applied to. */
  chosen: readonly StoredSnapshot[];
  configuration: Configuration | undefined;
  keep: KeepOptions;
  grouping: ResticGrouping | undefined;
  now: Date;
};

/** What holds for a volume: its own settings, else those of the project, else the defaults. */
function settingsOf({ project, volume }: SnapshotGroup, configuration: Configuration | undefined): RetentionConfiguration {
  if (configuration === undefined || project !== configuration.project) return defaultRetention();
  return configuration.volumes.find(({ name }) => name === volume)?.retention ?? configuration.retention;
}

/** Judged by volume, however the policy groups. */
function evidenceOf(all: readonly StoredSnapshot[], configuration: Configuration | undefined, now: Date): Map<StoredSnapshot, Suspicion> {
  return new Map(groupSnapshots(all).flatMap((group) => [...judgeSnapshots(group.snapshots, settingsOf(group, configuration).brake, now)]));
}

/**
 * By the policy of the options, else of `holdfast.yaml`, in which only its own project has one.
 * @throws `usage` when there is no policy at all.
 */
export function planByPolicy({ all, chosen, configuration, keep, grouping, now }: ForgetRequest): BrakedDecision[] {
  const asked = policyOfOptions(keep);
  const manualMs = manualOfOptions(keep);
  if (asked === undefined && configuration === undefined) {
    throw new HoldfastError('usage', 'there is no holdfast.yaml that says what is kept, and no policy was given', {
      remedy: 'give --keep-daily 7 or the like, or name the snapshots that are to go',
    });
  }
  const policyFor: PolicyFor = (group) => {
    if (asked === undefined && group.project !== configuration?.project) return undefined;
    const { brake: _, ...configured } = settingsOf(group, configuration);
    return { ...configured, ...asked, manualMs: manualMs ?? configured.manualMs };
  };
  const decisions = decideRetention(chosen, policyFor, now, grouping);
  // Where the brake is off only times look wrong, and the newest stays all the same: a policy that would let it go is a slip.
  return applyBrake(decisions, evidenceOf(all, configuration, now), policyFor, now);
}

/** The named ones go, but for the newest good snapshot of a volume. */
export function planNamed(
  all: readonly StoredSnapshot[],
  named: readonly StoredSnapshot[],
  configuration: Configuration | undefined,
  now: Date,
): BrakedDecision[] {
  const evidence = evidenceOf(all, configuration, now);
  const wanted = new Set(named);
  return groupSnapshots(all).flatMap((group) => {
    const spared = settingsOf(group, configuration).brake.enabled ? newestToKeep(group, evidence) : undefined;
    return group.snapshots
      .filter((snapshot) => wanted.has(snapshot))
      .map((snapshot) => {
        const held = snapshot === spared;
        const newest = evidence.has(snapshot) ? 'held: the newest snapshot' : 'held: the newest good snapshot';
        return {
          snapshot,
          group,
          keep: held,
          held,
          heldByClock: false,
          reasons: [held ? newest : 'named'],
          suspicion: evidence.get(snapshot),
        };
      });
  });
}

/** The same without the brake: what it holds goes, but for what only a wrong time would let go. */
export const withoutBrake = (decisions: readonly BrakedDecision[]): BrakedDecision[] =>
  decisions.map((decision) =>
    decision.held && !decision.heldByClock
      ? { ...decision, keep: false, held: false, reasons: ['--force: the brake would hold it'] }
      : decision,
  );

/** Of the groups in which something is held, why, for people. */
export function brakeWarnings(decisions: readonly BrakedDecision[]): string[] {
  return [...Map.groupBy(decisions, ({ group }) => group)].flatMap(([{ label }, ofGroup]) => {
    const held = ofGroup.filter((decision) => decision.held).length;
    if (held === 0) return [];
    const wrong = ofGroup.filter(({ suspicion }) => suspicion !== undefined);
    const [newest] = wrong;
    const stays = `${label}: the brake holds ${held} ${held === 1 ? 'snapshot' : 'snapshots'} that would be forgotten`;
    if (newest === undefined) return [`${stays}: the newest good one stays; --force lets it go`];
    const id = newest.snapshot.id.slice(0, 8);
    const others = wrong.length === 1 ? '' : `, and ${wrong.length - 1} more`;
    const isUntimely = newest.suspicion !== undefined && isOfClock(newest.suspicion);
    const remedy = isUntimely
      ? `When a newer backup is there, let that one go: holdfast forget ${id}`
      : `If that one is as it should be, say so: holdfast tag ${id} --add brake=good`;
    return [`${stays}, because others look wrong: ${id} (${newest.suspicion?.message})${others}. ${remedy}`];
  });
}
