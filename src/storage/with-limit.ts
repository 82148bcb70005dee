/** A storage that keeps to a number of bytes a second, up and down, together with all other threads of the process. */
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import type { FileKind, FileRef, FileSource, PendingFile, SharedLimit, Storage } from './storage.ts';

/** How much may go at once after a silence, as time: small reads are not held up. */
const burstNs = 250_000_000n;
/** Whoever wants much reserves it in slices of so much time, so that others come in between. */
const sliceMs = 250;
const minSliceBytes = 4096;

/** A budget that threads share: `state` holds the instant, on the system's monotonic clock, at which the next byte may go. */
export function createSharedLimit(bytesPerSecond: number): SharedLimit {
  return { bytesPerSecond, state: new SharedArrayBuffer(8) };
}

export type LimitOptions = {
  upload?: SharedLimit | undefined;
  download?: SharedLimit | undefined;
  clock: Pick<Clock, 'sleep'>;
  /** Nanoseconds that only grow, the same in all threads. Default `process.hrtime.bigint`. */
  nowNs?: () => bigint;
  /** Whether the run is to end: who waits to send or fetch content then gets `interrupted`. */
  stopped?: () => boolean;
};

/**
 * Limits what is written and read to a rate. What has a known length (writes, ranges) waits before it is transferred; files that are read
 * whole are paid for afterwards. Listings and requests without content are free. After the run was told to end, only packs wait (and are refused):
 * an index, a snapshot or a lock is small, and worth more than the rate.
 */
export function withLimit(storage: Storage, { upload, download, clock, stopped = () => false, ...options }: LimitOptions): Storage {
  const nowNs = options.nowNs ?? process.hrtime.bigint;

  async function pay(limit: SharedLimit | undefined, bytes: number, kind: FileKind): Promise<void> {
    if (limit === undefined) return;
    const sliceBytes = Math.max(minSliceBytes, Math.ceil((limit.bytesPerSecond * sliceMs) / 1000));
    for (let left = bytes; left > 0; left -= sliceBytes) {
      if (stopped()) {
        if (kind !== 'data') return;
        throw new HoldfastError('interrupted', 'interrupted while waiting for the bandwidth limit');
      }
      const waitMs = reserve(limit, Math.min(left, sliceBytes), nowNs());
      if (waitMs > 0) await clock.sleep(waitMs);
    }
  }

  function limited(file: PendingFile): PendingFile {
    return {
      async append(bytes) {
        await pay(upload, bytes.length, 'data');
        await file.append(bytes);
      },
      commit: (name) => file.commit(name),
      discard: () => file.discard(),
    };
  }

  const { begin, writeFrom } = storage;
  return {
    ...storage,
    async read(file, range) {
      if (range) await pay(download, range.length, file.kind);
      const bytes = await storage.read(file, range);
      if (!range) await pay(download, bytes.length, file.kind);
      return bytes;
    },
    async write(file, parts) {
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      await pay(upload, bytes, file.kind);
      await storage.write(file, parts);
    },
    ...(begin && { begin: async (holds?: FileRef['holds']) => limited(await begin.call(storage, holds)) }),
    ...(writeFrom && {
      async writeFrom(file: FileRef, source: FileSource) {
        await pay(upload, source.sizeBytes, file.kind);
        await writeFrom.call(storage, file, source);
      },
    }),
  };
}

/** Takes bytes from the budget. @returns milliseconds until they may go. */
function reserve({ bytesPerSecond, state }: SharedLimit, bytes: number, nowNs: bigint): number {
  const next = new BigInt64Array(state);
  const costNs = BigInt(Math.ceil((bytes / bytesPerSecond) * 1e9));
  for (;;) {
    const seen = Atomics.load(next, 0);
    const start = seen > nowNs - burstNs ? seen : nowNs - burstNs;
    if (Atomics.compareExchange(next, 0, seen, start + costNs) === seen)
      return Math.max(0, Math.ceil(Number(start + costNs - nowNs) / 1e6));
  }
}
