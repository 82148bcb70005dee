/** A storage whose operations are tried again while their failures may pass. */
import type { Clock } from '../model/clock.ts';
import { catalogue, HoldfastError } from '../model/errors.ts';
import type { FileKind, FileRef, FileSource, Storage, StoredFile } from './storage.ts';

const baseMs = 500;
const capMs = 30_000;
/** As restic's. It begins with the first failure: an upload over a slow link may take longer by itself. */
const patienceMs = 15 * 60 * 1000;
/** Before a storage has answered at all: more likely a wrong address than an outage. */
const firstPatienceMs = 60_000;
/** After the run was told to end: what it still has to do (the index, the lock) deserves one more chance or two. */
const endingPatienceMs = 3_000;
/** How quickly a wait notices that the run is to end. */
const noticeMs = 250;
/** Causes that waiting does not mend. */
const lasting = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|HOSTNAME_MISMATCH$|EACCES$|EPERM$|EROFS$|ENOTDIR$|ERR_INVALID_)/;

/** An operation that failed and will be tried again. */
export type Retry = {
  /** `reading index/0123`. */
  what: string;
  /** Of the attempt that failed, from 1. */
  attempt: number;
  waitMs: number;
  /** Since the operation's first failure, at the end of the wait. */
  troubleMs: number;
  reason: string;
};

export type RetryOptions = {
  clock: Pick<Clock, 'sleep'>;
  /** Milliseconds that only grow, so that a clock that is set gives nobody up. Default `performance.now`. */
  nowMs?: () => number;
  /** Numbers in [0, 1). Default `Math.random`. */
  random?: () => number;
  /** Whether the run is to end: waiting ends then, and nothing is tried for longer than 3 seconds. */
  stopped?: () => boolean;
  /** Whether the storage is known to answer, as in lanes that begin when the main thread has opened it. Default false. */
  proven?: boolean;
  onRetry?: (retry: Retry) => void;
};

/**
 * Tries operations again whose errors the catalogue calls retryable, after waits that double from 0.5 to 30 seconds, of which chance takes
 * any part ("full jitter"), or that the storage asks for. It gives up after 15 minutes (1 minute before the storage has ever answered),
 * and then tries every operation once only, until one succeeds. A read that comes back too short is tried once more before it counts
 * as damaged. A listing that breaks off begins anew, and yields no file twice. A file that was begun is not written again: its bytes are
 * gone, and its writer is told.
 */
export function withRetry(storage: Storage, { clock, random = Math.random, stopped = () => false, ...options }: RetryOptions): Storage {
  const nowMs = options.nowMs ?? (() => performance.now());
  let proven = options.proven ?? false;
  let givenUp = false;

  /** Where an operation stands between its attempts. */
  type Trouble = { attempt: number; sinceMs: number | undefined; rereads: number };
  const noTrouble = (rereads = 0): Trouble => ({ attempt: 0, sinceMs: undefined, rereads });

  /** Waits until the operation may be tried again. @throws the error when it may not. */
  async function recover(what: string, trouble: Trouble, error: unknown): Promise<void> {
    trouble.attempt += 1;
    if (!(error instanceof HoldfastError)) throw error;
    if (error.code === 'damaged' && trouble.rereads-- > 0) return;
    if (!mayPass(error)) throw error;
    trouble.sinceMs ??= nowMs();
    const longestMs = Math.min(capMs, baseMs * 2 ** Math.min(trouble.attempt - 1, 20));
    const waitMs = Math.round(Math.max(random() * longestMs, error.retryAfterMs ?? 0));
    const troubleMs = nowMs() - trouble.sinceMs + waitMs;
    if (givenUp || troubleMs > currentPatienceMs()) {
      givenUp = !stopped();
      throw error;
    }
    options.onRetry?.({ what, attempt: trouble.attempt, waitMs, troubleMs, reason: error.message });
    await wait(waitMs, trouble.sinceMs, error);
  }

  const currentPatienceMs = () => (stopped() ? endingPatienceMs : proven ? patienceMs : firstPatienceMs);

  async function wait(waitMs: number, sinceMs: number, error: HoldfastError): Promise<void> {
    const endMs = nowMs() + waitMs;
    for (let leftMs = waitMs; leftMs > 0; leftMs = endMs - nowMs()) {
      if (stopped() && endMs - sinceMs > endingPatienceMs) throw error;
      await clock.sleep(Math.min(leftMs, noticeMs));
    }
  }

  function succeeded(): void {
    proven = true;
    givenUp = false;
  }

  async function perform<Result>(what: string, operation: () => Promise<Result>, rereads = 0): Promise<Result> {
    const trouble = noTrouble(rereads);
    for (;;) {
      try {
        const result = await operation();
        succeeded();
        return result;
      } catch (error) {
        if (error instanceof HoldfastError && error.code === 'file-missing') succeeded();
        await recover(what, trouble, error);
      }
    }
  }

  async function* list(kind: FileKind): AsyncGenerator<StoredFile> {
    const seen = new Set<string>();
    let trouble = noTrouble();
    for (;;) {
      try {
        for await (const file of storage.list(kind)) {
          if (seen.has(file.name)) continue;
          seen.add(file.name);
          // Whoever gets on is not in trouble.
          trouble = noTrouble();
          succeeded();
          yield file;
        }
        return succeeded();
      } catch (error) {
        await recover(`listing ${kind}`, trouble, error);
      }
    }
  }

  /** The reply to an attempt that succeeded may have been lost; servers that never replace a file then refuse the next one. */
  async function write(file: FileRef, isTheSame: () => Promise<boolean>, attempt: () => Promise<void>): Promise<void> {
    let attempts = 0;
    await perform(`writing ${nameOf(file)}`, async () => {
      attempts += 1;
      try {
        await attempt();
      } catch (error) {
        const refused = attempts > 1 && error instanceof HoldfastError && error.code === 'storage-denied';
        if (!refused || !(await isTheSame())) throw error;
      }
    });
  }

  const { begin, removeLeftovers, writeFrom } = storage;
  return {
    ...storage,
    create: () => perform('creating it', () => storage.create()),
    list,
    read: (file, range) => perform(`reading ${nameOf(file)}`, () => storage.read(file, range), 1),
    sizeOf: (file) => perform(`looking at ${nameOf(file)}`, () => storage.sizeOf(file)),
    write: (file, parts) =>
      write(
        file,
        () => isThere(storage, file, parts),
        () => storage.write(file, parts),
      ),
    ...(writeFrom && {
      writeFrom: (file: FileRef, source: FileSource) =>
        write(
          file,
          async () => (await storage.sizeOf(file)) === source.sizeBytes,
          () => writeFrom.call(storage, file, source),
        ),
    }),
    remove: (file) => perform(`removing ${nameOf(file)}`, () => storage.remove(file)),
    ...(begin && { begin: (holds?: FileRef['holds']) => perform('beginning a pack', () => begin.call(storage, holds)) }),
    ...(removeLeftovers && {
      removeLeftovers: (olderThanMs: number) => perform('tidying up', () => removeLeftovers.call(storage, olderThanMs)),
    }),
  };
}

/** Names are hashes of contents, so that the length proves enough; but the configuration may be somebody else's. */
async function isThere(storage: Storage, file: FileRef, parts: readonly Uint8Array[]): Promise<boolean> {
  if (file.kind === 'config') return (await storage.read(file)).equals(Buffer.concat(parts));
  return (await storage.sizeOf(file)) === parts.reduce((sum, part) => sum + part.length, 0);
}

const nameOf = ({ kind, name }: FileRef): string => (kind === 'config' ? kind : `${kind}/${name.slice(0, 8)}`);

/** Whether the failure may have passed a little later. */
function mayPass(error: HoldfastError): boolean {
  if (!catalogue[error.code].retryable || error.code === 'interrupted' || error.code === 'locked') return false;
  return !causesOf(error).some(({ code }) => typeof code === 'string' && lasting.test(code));
}

/** Deeper chains are no help to anyone, and a cycle must not hang. */
const maxCauses = 8;

function causesOf(error: Error): (Error & { code?: unknown })[] {
  const found: (Error & { code?: unknown })[] = [];
  for (let cause: unknown = error.cause; cause instanceof Error && found.length < maxCauses; cause = cause.cause) found.push(cause);
  return found;
}
