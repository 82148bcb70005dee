import { randomInt } from 'node:crypto';
import { HoldfastError } from '../../model/errors.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { Reason } from '../objectives/assessment.ts';
import type { Facts } from '../state/log-tables.ts';
import { cut } from './message.ts';

/** How the delivery to a section of `notifications` goes; kept under `delivery NAME`. Times are milliseconds since 1970. */
export type DeliveryRecord = {
  /** When it was last sent, within the hour, the oldest first. */
  sentMs: number[];
  /** Attempts since the last that succeeded. */
  failures: number;
  failingSinceMs: number | undefined;
  lastError: string | undefined;
  /** No attempt earlier. */
  nextMs: number;
  /** Notices that were given up since the last message that arrived. */
  dropped: number;
};

/** Of a section to which nothing was sent. */
export const untried: DeliveryRecord = { sentMs: [], failures: 0, failingSinceMs: undefined, lastError: undefined, nextMs: 0, dropped: 0 };

/** Of an attempt; whatever was thrown, also nothing. */
export type Failure = { error: unknown };
export const failureOf = (error: unknown): Failure => ({ error });

/** After one more failure: the next attempt in 1, 2, 4 and so on to 60 minutes, and up to a fifth more; later when the other side asks for it. */
export function failed(record: DeliveryRecord, error: unknown, nowMs: number): DeliveryRecord {
  const message = error instanceof Error ? error.message : String(error);
  const retryAfterMs = error instanceof HoldfastError ? (error.retryAfterMs ?? 0) : 0;
  const waitMs = Math.min(60, 2 ** record.failures) * (60_000 + randomInt(12_000));
  return {
    ...record,
    failures: record.failures + 1,
    failingSinceMs: record.failingSinceMs ?? nowMs,
    lastError: cut(message, 300),
    nextMs: nowMs + Math.max(waitMs, retryAfterMs),
  };
}

export const deliveryFact = (name: string): string => `delivery ${name}`;

/** One or two failures pass by themselves, as a rule. */
const toleratedFailures = 3;

/** Notifications that do not arrive, for status and for alerts by other ways. */
export function undelivered(configuration: Configuration, facts: Pick<Facts, 'get'>): { notification: string; reason: Reason }[] {
  return configuration.notifications.flatMap(({ name }) => {
    const record = facts.get<DeliveryRecord>(deliveryFact(name));
    if (record === undefined || record.failures < toleratedFailures) return [];
    const since = record.failingSinceMs === undefined ? '' : ` since ${new Date(record.failingSinceMs).toISOString().slice(0, 16)}Z`;
    const reason: Reason = {
      kind: 'daemon',
      condition: 'at-risk',
      message: `notifications do not arrive by \`${name}\`${since}: ${record.lastError ?? 'nobody knows why'}`,
      remedy: `correct \`notifications.${name}\`, then run \`holdfast notify test ${name}\``,
    };
    return [{ notification: name, reason }];
  });
}
