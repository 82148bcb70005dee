import type { Configuration } from '../configuration/configuration.ts';
import type { Reason } from '../objectives/assessment.ts';
import type { Facts } from '../state/log-tables.ts';

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
