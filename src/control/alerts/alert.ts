import type { JobKind } from '../jobs/job.ts';
import type { Condition, ReasonKind } from '../objectives/assessment.ts';

/** What an alert is about. */
export type AlertSubject =
  | { kind: 'volume' | 'repository'; name: string }
  | { kind: 'job'; name: string; job: JobKind }
  /** A section of `notifications`, whose messages do not arrive. */
  | { kind: 'notification'; name: string }
  | { kind: 'project' };

/** Stable names of what alerts say, for programs. */
export type AlertKind = ReasonKind | 'job-failed' | 'schedule-late' | 'configuration-refused' | 'undelivered';

export type AlertCondition = Exclude<Condition, 'good'>;

/** Something that is wrong now. */
export type Observed = {
  /** The same for as long as it is the same thing that is wrong. */
  key: string;
  kind: AlertKind;
  subject: AlertSubject;
  condition: AlertCondition;
  message: string;
  remedy: string;
};

/**
 * An episode of something wrong. `pending`: seen, and not told yet, for it may pass by itself; `raised`: told; `ended`: over, and that was told too.
 * Times are milliseconds since 1970.
 */
export type Alert = Observed & {
  id: string;
  state: 'pending' | 'raised' | 'ended';
  /** The worst condition so far. */
  worst: AlertCondition;
  /** The condition in which it was told first. */
  raisedAs: AlertCondition | undefined;
  firstSeenMs: number;
  raisedMs: number | undefined;
  /** Since when it is not seen any more; undefined while it is. */
  quietSinceMs: number | undefined;
  endedMs: number | undefined;
  acknowledged: { by: string; atMs: number } | undefined;
};

/** The fact that says until when nothing new is told of what is wrong under a key, and who wants it so: `{ by, untilMs }`. */
export const silenceFact = (key: string): string => `silence ${key}`;

/** What somebody is to be told. */
export type Notice = { event: 'raised' | 'worsened' | 'ended'; alert: Alert };
