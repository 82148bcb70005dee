/** What one token or address may ask for, so that none can keep the daemon from its work. Memory is bounded: the longest unseen are forgotten. */

const mostRemembered = 10_000;

/** A map that forgets the entries that were set longest ago. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > mostRemembered) map.delete(map.keys().next().value as string);
}

export type RateLimit = {
  /** 0 when it may go on, else how long to wait, in milliseconds. */
  take(who: string, nowMs: number): number;
};

/** So many requests a second, and so many at once after a pause. */
export function createRateLimit({ perSecond, burst }: { perSecond: number; burst: number }): RateLimit {
  const buckets = new Map<string, { left: number; atMs: number }>();
  return {
    take(who, nowMs) {
      const bucket = buckets.get(who) ?? { left: burst, atMs: nowMs };
      const left = Math.min(burst, bucket.left + (Math.max(0, nowMs - bucket.atMs) / 1_000) * perSecond);
      const passes = left >= 1;
      remember(buckets, who, { left: passes ? left - 1 : left, atMs: nowMs });
      return passes ? 0 : Math.ceil(((1 - left) / perSecond) * 1_000);
    },
  };
}

export type LockOut = {
  /** How long an address has to wait, in milliseconds; 0 when not. */
  waitMs(address: string, nowMs: number): number;
  /** Returns whether the address is locked out now. */
  failed(address: string, nowMs: number): boolean;
  succeeded(address: string): void;
};

const freeFailures = 5;
const longestMs = 15 * 60_000;
const forgottenMs = 3_600_000;

/** Wrong tokens: after five, 1 s of waiting, then twice as long each time, up to 15 minutes. A right one, or an hour without, clears it. */
export function createLockOut(): LockOut {
  const failures = new Map<string, { count: number; untilMs: number; atMs: number }>();
  return {
    // Never longer than there is to wait at all: the clock may have been put back.
    waitMs: (address, nowMs) => Math.min(longestMs, Math.max(0, (failures.get(address)?.untilMs ?? 0) - nowMs)),
    failed(address, nowMs) {
      const before = failures.get(address);
      const count = before === undefined || nowMs - before.atMs > forgottenMs ? 1 : before.count + 1;
      const locked = count >= freeFailures;
      const untilMs = locked ? nowMs + Math.min(longestMs, 1_000 * 2 ** Math.min(20, count - freeFailures)) : 0;
      remember(failures, address, { count, untilMs, atMs: nowMs });
      return locked;
    },
    succeeded: (address) => void failures.delete(address),
  };
}
