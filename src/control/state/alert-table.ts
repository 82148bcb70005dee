import type { Alert } from '../alerts/alert.ts';
import type { State } from './state.ts';

/** Alerts, under way and over. */
export type AlertTable = {
  /** Pending and raised. */
  open(): Alert[];
  /** Raised and ended, the newest first; `before` is the id of the last one of the page before. */
  list(filter: { open?: boolean }, page: { limit: number; before?: string }): Alert[];
  get(id: string): Alert | undefined;
  /** Writes alerts, new or known. */
  put(alerts: readonly Alert[]): void;
  drop(ids: readonly string[]): void;
  /** Says that somebody has taken note; undefined when no such alert is open. */
  acknowledge(id: string, by: string, atMs: number): Alert | undefined;
  /** Removes those that ended before. */
  removeOlder(thanMs: number): void;
};

const alertOf = (row: unknown): Alert => JSON.parse((row as { document: string }).document) as Alert;

export function createAlertTable({ database, transaction }: State): AlertTable {
  const put = database.prepare('INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)');
  const drop = database.prepare('DELETE FROM alerts WHERE key = ?');
  const get = database.prepare('SELECT document FROM alerts WHERE key = ?');
  const open = database.prepare('SELECT document FROM alerts WHERE ended_ms IS NULL ORDER BY raised_ms, key');
  const list = database.prepare(`SELECT document FROM alerts
    WHERE document ->> '$.state' <> 'pending' AND (?1 IS NULL OR (ended_ms IS NULL) = ?1)
    AND (?2 IS NULL OR (raised_ms, key) < (SELECT raised_ms, key FROM alerts WHERE key = ?2))
    ORDER BY raised_ms DESC, key DESC LIMIT ?3`);
  const remove = database.prepare('DELETE FROM alerts WHERE ended_ms < ?');
  const write = (alert: Alert) => void put.run(alert.id, JSON.stringify(alert), alert.raisedMs ?? alert.firstSeenMs, alert.endedMs ?? null);
  const find = (id: string) => {
    const row = get.get(id);
    return row === undefined ? undefined : alertOf(row);
  };
  return {
    open: () => open.all().map(alertOf),
    list: ({ open: isOpen }, { limit, before }) =>
      list.all(isOpen === undefined ? null : Number(isOpen), before ?? null, limit).map(alertOf),
    get: find,
    put: (alerts) => transaction(() => alerts.forEach(write)),
    drop: (ids) =>
      transaction(() => {
        for (const id of ids) drop.run(id);
      }),
    acknowledge(id, by, atMs) {
      const alert = find(id);
      if (alert?.state !== 'raised') return undefined;
      const acknowledged: Alert = { ...alert, acknowledged: { by, atMs } };
      write(acknowledged);
      return acknowledged;
    },
    removeOlder: (thanMs) => void remove.run(thanMs),
  };
}
