import type { State } from './state.ts';

/** What waits to be sent, by notification, as JSON. It is written together with what it tells of, and removed when it has arrived. */
export type OutboxTable = {
  /** Adds something under a name of its own; what waits under this name already stays as it is. */
  add(notification: string, row: { atMs: number; news: string; document: string }): void;
  /** The oldest first. */
  waiting(notification: string, limit: number): { number: number; atMs: number; document: string }[];
  remove(numbers: readonly number[]): void;
  /** Gives up what is older, or more than `most`, the oldest first; returns how many. */
  trim(notification: string, olderThanMs: number, most: number): number;
  /** Gives up what is for notifications that are not there any more. */
  keepOnly(notifications: readonly string[]): void;
};

export function createOutboxTable({ database, transaction }: State): OutboxTable {
  const insert = database.prepare('INSERT OR IGNORE INTO outbox (notification, at_ms, news, document) VALUES (?, ?, ?, ?)');
  const select = database.prepare('SELECT number, at_ms, document FROM outbox WHERE notification = ? ORDER BY number LIMIT ?');
  const remove = database.prepare('DELETE FROM outbox WHERE number = ?');
  const trim = database.prepare(`DELETE FROM outbox WHERE notification = ?1 AND (at_ms < ?2 OR number NOT IN
    (SELECT number FROM outbox WHERE notification = ?1 ORDER BY number DESC LIMIT ?3))`);
  const keep = database.prepare('DELETE FROM outbox WHERE notification NOT IN (SELECT value FROM json_each(?))');
  type Row = { number: number; at_ms: number; document: string };
  return {
    add: (notification, { atMs, news, document }) => void insert.run(notification, atMs, news, document),
    waiting: (notification, limit) =>
      (select.all(notification, limit) as Row[]).map(({ number, at_ms: atMs, document }) => ({ number, atMs, document })),
    remove: (numbers) =>
      transaction(() => {
        for (const number of numbers) remove.run(number);
      }),
    trim: (notification, olderThanMs, most) => Number(trim.run(notification, olderThanMs, most).changes),
    keepOnly: (notifications) => void keep.run(JSON.stringify(notifications)),
  };
}
