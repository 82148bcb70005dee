/**
 * Retention: which snapshots stay and which go, and why. Pure.
 *
 * The rules are restic's, to the letter (source: restic, internal/data/snapshot_policy.go): snapshots are looked at from the newest to
 * the oldest; one that lies in another hour (day, week, month, year) than the last one that this rule kept is kept by it, as long as the
 * rule has any left; the oldest is kept as well by a rule that has some left. Hours and days are those of the zone that a snapshot's time
 * is written in.
 */
import { parseTime } from '../../format/time.ts';
import { formatDuration } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import { formatSpan, isEmptySpan, type Span } from '../../model/span.ts';
import { groupSnapshots, type ResticGrouping, type SnapshotGroup } from './snapshot-groups.ts';

/** Counts: -1 keeps all, 0 none. */
export type RetentionPolicy = {
  /** How many of the newest are kept. */
  last: number;
  /** For how many hours, days, ... that have a snapshot the newest one is kept. */
  hourly: number;
  daily: number;
  weekly: number;
  monthly: number;
  yearly: number;
  /** Everything is kept that is younger than that, seen from the newest snapshot of the group that is not in the future. */
  within: Span | undefined;
  /** The newest of every hour, day, ... is kept in that time. */
  withinHourly: Span | undefined;
  withinDaily: Span | undefined;
  withinWeekly: Span | undefined;
  withinMonthly: Span | undefined;
  withinYearly: Span | undefined;
  /** How long snapshots of classes `manual` and `guard` are kept, in milliseconds: from when they are of, or were stored if that is later. */
  manualMs: number;
  /** Kept for ever: snapshots with one of these tags; `a,b` means both, the empty text those without any. */
  tags: readonly string[];
};

/** What becomes of a snapshot. */
export type Decision = {
  snapshot: StoredSnapshot;
  group: SnapshotGroup;
  keep: boolean;
  /** Every rule that keeps it (`daily 2026-11-20`, `tag prod`), or why none does. Never empty. */
  reasons: string[];
};

/** The policy of a group; undefined when nothing of it is to be forgotten. */
export type PolicyFor = (group: SnapshotGroup) => RetentionPolicy | undefined;

/** Names of the rules that count. */
export const countRules = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
/** Names of the rules that keep for a time. */
export const spanRules = ['within', 'withinHourly', 'withinDaily', 'withinWeekly', 'withinMonthly', 'withinYearly'] as const;
export type CountRule = (typeof countRules)[number];
export type SpanRule = (typeof spanRules)[number];

const countedWithin = [
  ['withinHourly', 'hourly'],
  ['withinDaily', 'daily'],
  ['withinWeekly', 'weekly'],
  ['withinMonthly', 'monthly'],
  ['withinYearly', 'yearly'],
] as const;

/** Whether a policy would keep no scheduled snapshot of any kind, which nobody means. */
export function keepsNothing(policy: RetentionPolicy): boolean {
  const spans = spanRules.map((rule) => policy[rule]);
  return policy.tags.length === 0 && countRules.every((rule) => policy[rule] === 0) && spans.every((span) => !span || isEmptySpan(span));
}

/**
 * Decides for each snapshot, group by group (see snapshot-groups.ts), the newest of a group first. Manual and guard snapshots are kept by
 * their age, seen from `now`, by `within` and by tags; they take no part in the counting of the others. Snapshots without a policy stay.
 */
export function decideRetention(
  snapshots: readonly StoredSnapshot[],
  policyFor: PolicyFor,
  now: Date,
  grouping?: ResticGrouping,
): Decision[] {
  return groupSnapshots(snapshots, grouping).flatMap((group) => {
    const policy = policyFor(group);
    if (policy !== undefined) return decideGroup(group, policy, now);
    return group.snapshots.map((snapshot) => ({ snapshot, group, keep: true, reasons: ['no policy'] }));
  });
}

type Timed = { snapshot: StoredSnapshot; sec: number; nsec: number; byAge: boolean };

/** {@link decideRetention} for the snapshots of one group, newest first. */
export function decideGroup(group: SnapshotGroup, policy: RetentionPolicy, now: Date): Decision[] {
  const all = group.snapshots.map((snapshot): Timed => {
    const taken = identityFromTags(snapshot.tags)?.class;
    return { snapshot, ...parseTime(snapshot.time), byAge: taken === 'manual' || taken === 'guard' };
  });
  // What is taken by hand doesn't move the window of what is taken by schedule.
  const scheduled = all.filter(({ byAge }) => !byAge);
  const latest = latestOf(scheduled, now) ?? (scheduled.length === 0 ? latestOf(all, now) : undefined);
  const reasonsOf = countingRules(policy, latest, scheduled.length);
  return all.map((timed): Decision => {
    const reasons = [...tagReasons(policy, timed.snapshot), ...withinReason(policy, timed, latest)];
    reasons.push(...(timed.byAge ? ageReason(policy, timed, now) : reasonsOf(timed)));
    const keep = reasons.length > 0;
    const why = timed.byAge ? `manual, older than ${formatDuration(policy.manualMs)}` : 'no rule keeps it';
    return { snapshot: timed.snapshot, group, keep, reasons: keep ? reasons : [why] };
  });
}

/** The newest that is not in the future, from where spans are counted; undefined when all are. */
function latestOf(newestFirst: readonly Timed[], now: Date): Timed | undefined {
  return newestFirst.find((timed) => timed.sec * 1000 + timed.nsec / 1e6 < now.getTime());
}

const hasTags = ({ tags }: StoredSnapshot, wanted: readonly string[]): boolean => {
  for (const tag of wanted) {
    if (tag === '' && tags.length === 0) return true;
    if (!tags.includes(tag)) return false;
  }
  return true;
};

const tagReasons = (policy: RetentionPolicy, snapshot: StoredSnapshot): string[] =>
  policy.tags.filter((list) => hasTags(snapshot, list.split(','))).map((list) => (list === '' ? 'untagged' : `tag ${list}`));

function withinReason({ within }: RetentionPolicy, timed: Timed, latest: Timed | undefined): string[] {
  if (within === undefined || isEmptySpan(within) || !isYounger(timed, latest, within)) return [];
  return [`within ${formatSpan(within)}`];
}

function ageReason({ manualMs }: RetentionPolicy, { snapshot, sec, nsec }: Timed, now: Date): string[] {
  const nowMs = now.getTime();
  if (nowMs - (sec * 1000 + nsec / 1e6) <= manualMs) return [`manual, at most ${formatDuration(manualMs)} old`];
  // An archive that was imported is as old as it is, and would go with the next run.
  const storedMs = snapshot.summary === undefined ? Number.NEGATIVE_INFINITY : parseTime(snapshot.summary.backupEnd).sec * 1000;
  return storedMs <= nowMs && nowMs - storedMs <= manualMs ? [`manual, stored in the last ${formatDuration(manualMs)}`] : [];
}

/** Whether a time lies after the latest minus the span. As in restic, everything does when there is no latest. */
function isYounger({ sec, nsec }: Timed, latest: Timed | undefined, span: Span): boolean {
  if (latest === undefined) return true;
  const limitSec = subtract(latest, span);
  return sec > limitSec || (sec === limitSec && nsec > latest.nsec);
}

/** Counted back on the calendar of the zone that the time is written in, of which 31 March minus a month is 3 March, as in Go. */
function subtract({ snapshot, sec }: Timed, { years, months, days, hours }: Span): number {
  const offset = (parseTime(`${snapshot.time.slice(0, 19)}Z`).sec - sec) * 1000;
  const date = new Date(sec * 1000 + offset);
  date.setUTCFullYear(date.getUTCFullYear() - years, date.getUTCMonth() - months, date.getUTCDate() - days);
  const limitSec = (date.getTime() - offset) / 1000 - hours * 3600;
  // Before anything that a Date can say.
  return Number.isNaN(limitSec) ? Number.NEGATIVE_INFINITY : limitSec;
}

/** In which hour, day, ... a time lies, in the zone that it is written in. Of `last`, each is its own. */
function bucketOf(rule: CountRule, time: string, place: number): string {
  if (rule === 'last') return String(place);
  if (rule === 'hourly') return `${time.slice(0, 10)} ${time.slice(11, 13)}h`;
  if (rule === 'daily') return time.slice(0, 10);
  if (rule === 'weekly') return weekOf(time);
  return time.slice(0, rule === 'monthly' ? 7 : 4);
}

const dayMs = 86_400_000;

/** ISO 8601: the week belongs to the year that its Thursday is in. */
function weekOf(time: string): string {
  const day = new Date(`${time.slice(0, 10)}T00:00:00Z`);
  const thursday = new Date(day.getTime() + (3 - ((day.getUTCDay() + 6) % 7)) * dayMs);
  const firstDay = new Date(0);
  firstDay.setUTCFullYear(thursday.getUTCFullYear(), 0, 1);
  const week = 1 + Math.floor((thursday.getTime() - firstDay.getTime()) / dayMs / 7);
  return `${String(thursday.getUTCFullYear()).padStart(4, '0')}-W${String(week).padStart(2, '0')}`;
}

/** A function that is asked for each snapshot in turn, from the newest to the oldest of `total`, and says which counting rules keep it. */
function countingRules(policy: RetentionPolicy, latest: Timed | undefined, total: number): (timed: Timed) => string[] {
  const rules = [
    ...countRules.map((rule) => ({ rule, left: policy[rule], span: undefined as Span | undefined, previous: '' })),
    ...countedWithin
      .map(([key, rule]) => ({ rule, left: -1, span: policy[key], previous: '' }))
      .filter(({ span }) => span && !isEmptySpan(span)),
  ].filter(({ left }) => left !== 0);
  let place = -1;
  return (timed) => {
    place++;
    const isOldest = place === total - 1;
    const reasons: string[] = [];
    for (const state of rules) {
      const { rule, span, previous } = state;
      if (state.left === 0 || (span !== undefined && !isYounger(timed, latest, span))) continue;
      const bucket = bucketOf(rule, timed.snapshot.time, place);
      if (bucket === previous && !isOldest) continue;
      state.previous = bucket;
      if (state.left > 0) state.left--;
      const name = rule === 'last' ? 'last' : `${rule} ${bucket}`;
      reasons.push(`${bucket === previous ? 'oldest ' : ''}${name}${span === undefined ? '' : ` within ${formatSpan(span)}`}`);
    }
    return reasons;
  };
}
