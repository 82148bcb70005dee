/** The outside of the lanes: starts worker threads, calls them, and turns their failures into errors. */
import { getCompileCacheDir } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type ErrorDocument, errorFromDocument, HoldfastError } from '../../model/errors.ts';
import type { FromLane, LaneJob, LaneStart, ToLane } from './protocol.ts';

/** Young generations of V8 grow to 64 MiB if let; lanes make little garbage, and a backup's memory is counted. */
const maxYoungGenerationSizeMb = 8;

/**
 * A thread is asked to end, and ended by force only when it doesn't: force in the middle of a native call, such as one that loads a module,
 * can take the whole process along.
 */
const endPatienceMs = 10_000;

type Pending = { resolve: (reply: never) => void; reject: (error: HoldfastError) => void };

export type Lane = {
  /** @throws what the lane's handler threw; `internal` when the thread died. */
  call<Reply>(message: unknown): Promise<Reply>;
};

export type LanePool = {
  lanes: readonly Lane[];
  /** Ends all threads at once; calls under way are rejected. */
  close(): Promise<void>;
};

export type WarmLanesOptions = {
  /** Module that the threads run: the composition root's lane entry. */
  entry: URL;
  count: number;
  job: LaneJob;
};

/** Threads that load their modules while the main thread still opens the repository, which takes about as long. */
export type WarmLanes = {
  start(start: LaneStart, onNotice: (notice: unknown) => void): LanePool;
  /** Ends all threads. Harmless when called twice. */
  close(): Promise<void>;
};

export function warmLanes({ entry, count, job }: WarmLanesOptions): WarmLanes {
  const threads = Array.from({ length: count }, () => startThread(entry, job));
  const close = async () => {
    await Promise.all(threads.map((thread) => thread.close()));
  };
  return {
    start(start, onNotice) {
      for (const thread of threads) thread.begin(start, onNotice);
      return { lanes: threads.map(({ lane }) => lane), close };
    },
    close,
  };
}

export type LanePoolOptions = Omit<WarmLanesOptions, 'job'> & { start: LaneStart; onNotice: (notice: unknown) => void };

export function startLanes({ entry, count, start, onNotice }: LanePoolOptions): LanePool {
  return warmLanes({ entry, count, job: start.job }).start(start, onNotice);
}

/** Threads share the compile cache only when their environment names it; without it, each would strip and compile all modules anew. */
function laneEnvironment(): NodeJS.ProcessEnv {
  const compileCache = getCompileCacheDir();
  return compileCache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: compileCache };
}

type Thread = { lane: Lane; begin: (start: LaneStart, onNotice: (notice: unknown) => void) => void; close: () => Promise<void> };

function startThread(entry: URL, job: LaneJob): Thread {
  const worker = new Worker(entry, { workerData: job, resourceLimits: { maxYoungGenerationSizeMb }, env: laneEnvironment() });
  const pending = new Map<number, Pending>();
  let noticed: (notice: unknown) => void = () => undefined;
  let dead: ErrorDocument | undefined;
  let calls = 0;

  function die(error: ErrorDocument): void {
    dead ??= error;
    for (const { reject } of pending.values()) reject(errorFromDocument(dead));
    pending.clear();
  }

  worker.on('message', (message: FromLane) => {
    if ('notice' in message) return noticed(message.notice);
    const waiting = pending.get(message.call);
    pending.delete(message.call);
    if ('error' in message) waiting?.reject(errorFromDocument(message.error));
    else waiting?.resolve(message.reply as never);
  });
  worker.on('error', (error) => {
    const details =
      error instanceof HoldfastError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    die({ code: 'internal', message: `a lane died: ${details}`, remedy: 'report it; what was stored is reused by the next run' });
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('exit', () => die({ code: 'interrupted', message: 'the lanes were ended', remedy: 'run again: what was stored is reused' }));

  return {
    lane: {
      call<Reply>(message: unknown) {
        return new Promise<Reply>((resolve, reject) => {
          if (dead) return reject(errorFromDocument(dead));
          const call = ++calls;
          pending.set(call, { resolve: resolve as Pending['resolve'], reject });
          worker.postMessage({ call, message } satisfies ToLane);
        });
      },
    },
    begin(start, onNotice) {
      noticed = onNotice;
      worker.postMessage({ begin: start } satisfies ToLane);
    },
    async close() {
      worker.postMessage({ end: true } satisfies ToLane);
      const ended = await Promise.race([exited.then(() => true), sleep(endPatienceMs, false, { ref: false })]);
      if (!ended) await worker.terminate();
    },
  };
}
