import type { Configuration, NotificationConfiguration } from '../configuration/configuration.ts';
import { quietAt } from '../scheduling/quiet-hours.ts';
import type { Facts } from '../state/log-tables.ts';
import type { OutboxTable } from '../state/outbox-table.ts';
import { type Message, messageOf, type News } from './message.ts';
import { type DeliveryRecord, deliveryFact, failed, failureOf, untried } from './undelivered.ts';

/** Sends what waits: grouped, at a bounded rate, again and again with longer waits, to all at the same time. */
export type Sender = {
  /** Begins whatever can be sent now. */
  send(): void;
  /** When there will be something to do; undefined: nothing waits. */
  nextMs(): number | undefined;
  /** Resolves when no attempt is under way. */
  settled(): Promise<void>;
};

export type SenderOptions = {
  outbox: OutboxTable;
  facts: Facts;
  configuration(): Configuration;
  now(): number;
  deliver(notification: NotificationConfiguration, message: Message): Promise<string>;
  /** An attempt has ended. */
  onEnded(): void;
  /** Told of what keeps from remembering what was sent. */
  complain(error: unknown): void;
  signal: AbortSignal;
};

/** All that happens in so much time is one message. */
const groupMs = 60_000;
/** So many messages an hour at most. */
const mostPerHour = 20;
const hourMs = 3_600_000;
/** What waits is given up when there is more, or when it is older. */
const mostWaiting = 1_000;
const oldestMs = 7 * 86_400_000;
/** So much goes into one message; what is written out is less. */
const mostInMessage = 200;
const quietLookMs = 60_000;
/** Where it cannot be remembered that something was sent, it would be sent for ever. */
const holdMs = hourMs;

export const createSender = (options: SenderOptions): Sender => {
  const { outbox, facts, configuration, now, signal } = options;
  const underWay = new Map<string, Promise<void>>();
  const heldUntilMs = new Map<string, number>();
  const recordOf = (name: string): DeliveryRecord => ({ ...untried, ...facts.get<DeliveryRecord>(deliveryFact(name)) });
  const save = (name: string, record: DeliveryRecord) => facts.set(deliveryFact(name), record);

  /** When the next message may go; undefined when nothing waits. */
  function dueMs({ name, quiet }: NotificationConfiguration): number | undefined {
    const [oldest] = outbox.waiting(name, 1);
    if (oldest === undefined) return undefined;
    const nowMs = now();
    const { nextMs, sentMs } = recordOf(name);
    // Instants that a clock had which was wrong keep nothing waiting.
    const recent = sentMs.filter((atMs) => atMs > nowMs - hourMs && atMs <= nowMs);
    const rateMs = recent.length < mostPerHour ? 0 : (recent.at(-mostPerHour) as number) + hourMs;
    const due = Math.max(Math.min(oldest.atMs, nowMs) + groupMs, Math.min(nextMs, nowMs + hourMs), rateMs, heldUntilMs.get(name) ?? 0);
    return due <= nowMs && quiet !== undefined && quietAt([quiet], nowMs) !== undefined ? nowMs + quietLookMs : due;
  }

  function trim({ name }: NotificationConfiguration): void {
    const given = outbox.trim(name, now() - oldestMs, mostWaiting);
    if (given === 0) return;
    const record = recordOf(name);
    save(name, { ...record, dropped: record.dropped + given });
  }

  async function attempt(notification: NotificationConfiguration): Promise<void> {
    const { name } = notification;
    const rows = outbox.waiting(name, mostInMessage);
    const news = rows.map(({ document }) => JSON.parse(document) as News);
    const id = `${configuration().project}-${name}-${rows[0]?.number}-${rows.at(-1)?.number}`;
    const { dropped } = recordOf(name);
    const message = messageOf(configuration().project, news, { id, atMs: now(), dropped });
    const failure = await options.deliver(notification, message).then(() => undefined, failureOf);
    // The state may be closed by now; it is sent again after the next start.
    if (signal.aborted) return;
    const record = recordOf(name);
    const nowMs = now();
    if (failure === undefined) {
      outbox.remove(rows.map(({ number }) => number));
      const sentMs = [...record.sentMs.filter((atMs) => atMs > nowMs - hourMs && atMs <= nowMs), nowMs];
      save(name, { ...untried, sentMs, dropped: record.dropped - dropped });
    } else save(name, failed(record, failure.error, nowMs));
  }

  return {
    send() {
      for (const notification of configuration().notifications) {
        const { name } = notification;
        if (underWay.has(name) || signal.aborted) continue;
        trim(notification);
        if ((dueMs(notification) ?? Number.POSITIVE_INFINITY) > now()) continue;
        underWay.set(
          name,
          attempt(notification)
            .catch((error: unknown) => {
              heldUntilMs.set(name, now() + holdMs);
              options.complain(error);
            })
            .finally(() => {
              underWay.delete(name);
              options.onEnded();
            }),
        );
      }
    },
    nextMs() {
      const waiting = configuration().notifications.filter(({ name }) => !underWay.has(name));
      const instants = waiting.flatMap((notification) => dueMs(notification) ?? []);
      return instants.length === 0 ? undefined : Math.min(...instants);
    },
    async settled() {
      while (underWay.size > 0) await Promise.allSettled(underWay.values());
    },
  };
};
