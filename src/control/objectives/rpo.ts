import { formatDuration } from '../../model/quantities.ts';
import type { Reason } from './assessment.ts';

/**
 * So much longer than the objective a volume may wait, as a part of it: a backup that begins once an RPO needs time to be done. The objective
 * counts as missed after that.
 */
const tolerance = 0.1;

export const breachOf = (newestGoodMs: number, objectiveMs: number): number => newestGoodMs + Math.round(objectiveMs * (1 + tolerance));

export type RpoFacts = {
  volume: string;
  objectiveMs: number;
  nowMs: number;
  newestGoodMs: number | undefined;
  /** How many snapshots there are, good or not. */
  snapshots: number;
  /** Why the newest one does not count. */
  fault: string | undefined;
  /** When the backup that runs began, or is to begin next; undefined when nobody knows. */
  next: { kind: 'running' | 'queued' | 'due'; atMs: number } | undefined;
  /** Whether this control plane makes the backups: else nobody can say what comes next. */
  scheduled: boolean;
  /** How long a backup takes at most, as it seems. */
  longestMs: number | undefined;
};

/** Whether the RPO is kept, and will be. */
export function rpoReasons(facts: RpoFacts): Reason[] {
  const { volume, objectiveMs, nowMs, newestGoodMs, snapshots, fault, next, scheduled } = facts;
  const backup = `holdfast backup ${volume}`;
  const under = next?.kind === 'running' || next?.kind === 'queued';
  if (snapshots === 0) return [{ kind: 'never-backed-up', condition: 'broken', message: 'there is no snapshot of it', remedy: backup }];
  if (newestGoodMs === undefined) {
    const message = `no snapshot of it is good${fault === undefined ? '' : `: the newest is ${fault}`}`;
    return [{ kind: 'rpo-breached', condition: 'broken', message, remedy: backup }];
  }
  const breachMs = breachOf(newestGoodMs, objectiveMs);
  const age = () => `the newest good snapshot is ${formatAge(nowMs - newestGoodMs)} old, the objective is ${formatDuration(objectiveMs)}`;
  if (nowMs > breachMs) {
    const remedy = under ? 'a backup is under way: `holdfast status` again when it is done' : backup;
    return [{ kind: 'rpo-breached', condition: 'broken', message: age(), remedy }];
  }
  const atRisk = (message: string, remedy: string): Reason[] => [{ kind: 'rpo-at-risk', condition: 'at-risk', message, remedy }];
  const prediction = scheduled ? predict(facts, breachMs) : undefined;
  if (prediction !== undefined) return atRisk(prediction, next === undefined ? 'give it a schedule in holdfast.yaml' : backup);
  return nowMs - newestGoodMs > objectiveMs && !under ? atRisk(age(), backup) : [];
}

function predict({ next, nowMs, longestMs = 0, objectiveMs }: RpoFacts, breachMs: number): string | undefined {
  if (next === undefined) return 'no schedule backs it up';
  const doneMs = Math.max(nowMs, next.atMs + longestMs);
  if (doneMs <= breachMs) return undefined;
  const takes = longestMs === 0 ? '' : `, and takes up to ${formatAge(longestMs)}`;
  const objective = formatDuration(objectiveMs);
  if (next.kind === 'due')
    return `the next backup begins in ${formatAge(next.atMs - nowMs)}${takes}: too late for an objective of ${objective}`;
  return `the backup that is under way may end too late for an objective of ${objective}`;
}

/** To the second, from a minute on to the minute. */
export const formatAge = (ms: number): string =>
  formatDuration(Math.floor(Math.max(0, ms) / (ms < 60_000 ? 1_000 : 60_000)) * (ms < 60_000 ? 1_000 : 60_000));
