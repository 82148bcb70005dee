import type { State } from './state.ts';

/** How full a volume was. */
export type UsageMeasurement = {
  volume: string;
  atMs: number;
  bytes: number;
  files: number | undefined;
  capacityBytes: number | undefined;
};

export type UsageTable = {
  add(measured: readonly UsageMeasurement[]): void;
  /** Oldest first. */
  list(volume: string, sinceMs: number): UsageMeasurement[];
  newest(volume: string): UsageMeasurement | undefined;
  /** Of measurements before, keeps the last of each day. */
  thin(beforeMs: number): void;
  /** Removes those that are older. */
  removeOlder(thanMs: number): void;
};

export function createUsageTable({ database, transaction }: State): UsageTable {
  const insert = database.prepare('INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?)');
  const select = database.prepare('SELECT * FROM usage WHERE volume = ? AND at_ms >= ? ORDER BY at_ms');
  const thin = database.prepare(`DELETE FROM usage WHERE at_ms < ?1 AND (volume, at_ms) NOT IN
    (SELECT volume, max(at_ms) FROM usage WHERE at_ms < ?1 GROUP BY volume, at_ms / 86400000)`);
  const remove = database.prepare('DELETE FROM usage WHERE at_ms < ?');
  const last = database.prepare('SELECT * FROM usage WHERE volume = ? ORDER BY at_ms DESC LIMIT 1');
  type Row = { volume: string; at_ms: number; bytes: number; files: number | null; capacity_bytes: number | null };
  const measurementOf = ({ volume, at_ms: atMs, bytes, files, capacity_bytes: capacityBytes }: Row): UsageMeasurement => ({
    volume,
    atMs,
    bytes,
    files: files ?? undefined,
    capacityBytes: capacityBytes ?? undefined,
  });
  /** They are asked for again and again. */
  const newest = new Map<string, UsageMeasurement | undefined>();
  return {
    add(measured) {
      transaction(() => {
        for (const { volume, atMs, bytes, files, capacityBytes } of measured)
          insert.run(volume, atMs, bytes, files ?? null, capacityBytes ?? null);
      });
      for (const { volume } of measured) newest.delete(volume);
    },
    list: (volume, sinceMs) => (select.all(volume, sinceMs) as Row[]).map(measurementOf),
    newest(volume) {
      if (!newest.has(volume)) {
        const row = last.get(volume) as Row | undefined;
        newest.set(volume, row && measurementOf(row));
      }
      return newest.get(volume);
    },
    // Of a volume that was not measured for long, the last stays.
    thin: (beforeMs) => void thin.run(beforeMs),
    removeOlder(thanMs) {
      remove.run(thanMs);
      newest.clear();
    },
  };
}

/** Who did what, and when. `what` is a stable word, `document` what it was about; neither holds secrets. */
export type AuditEntry = { number: number; atMs: number; who: string; what: string; document: Record<string, unknown> };

export type AuditLog = {
  add(entry: Omit<AuditEntry, 'number'>): void;
  /** Newest first. */
  list(page: { limit: number; before?: number }): AuditEntry[];
  removeOlder(thanMs: number): void;
};

export function createAuditLog({ database }: State): AuditLog {
  const insert = database.prepare('INSERT INTO audit_log (at_ms, who, what, document) VALUES (?, ?, ?, ?)');
  const select = database.prepare('SELECT * FROM audit_log WHERE number < ? ORDER BY number DESC LIMIT ?');
  const remove = database.prepare('DELETE FROM audit_log WHERE at_ms < ?');
  type Row = { number: number; at_ms: number; who: string; what: string; document: string };
  return {
    add: ({ atMs, who, what, document }) => void insert.run(atMs, who, what, JSON.stringify(document)),
    list: ({ limit, before = Number.MAX_SAFE_INTEGER }) =>
      (select.all(before, limit) as Row[]).map(({ number, at_ms: atMs, who, what, document }) => ({
        number,
        atMs,
        who,
        what,
        document: JSON.parse(document) as Record<string, unknown>,
      })),
    removeOlder: (thanMs) => void remove.run(thanMs),
  };
}

/** Single values by name: marks of schedules, when something was last seen. */
export type Facts = { get<Value>(name: string): Value | undefined; set(name: string, value: unknown): void; remove(name: string): void };

export function createFacts({ database }: State): Facts {
  const get = database.prepare('SELECT document FROM facts WHERE name = ?');
  const set = database.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?)');
  const remove = database.prepare('DELETE FROM facts WHERE name = ?');
  return {
    get<Value>(name: string) {
      const row = get.get(name) as { document: string } | undefined;
      return row === undefined ? undefined : (JSON.parse(row.document) as Value);
    },
    set: (name, value) => void set.run(name, JSON.stringify(value)),
    remove: (name) => void remove.run(name),
  };
}
