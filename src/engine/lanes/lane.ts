/** The inside of a lane: a worker thread that carries out calls, as many at once as the job has handlers. */
import type { MessagePort } from 'node:worker_threads';
import { createSeal } from '../../format/seal.ts';
import { errorDocument, HoldfastError } from '../../model/errors.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Storage, StorageAddress } from '../../storage/storage.ts';
import type { CallToLane, FromLane, LaneContext, LaneHandler, LaneJob, LaneRepository, LaneStart, ToLane } from './protocol.ts';

const jobs: Record<LaneJob, () => Promise<{ createLane: (context: LaneContext) => LaneHandler | readonly LaneHandler[] }>> = {
  backup: () => import('../backup/lane.ts'),
  restore: () => import('../restore/lane.ts'),
  check: () => import('../maintenance/check-lane.ts'),
  prune: () => import('../maintenance/prune-lane.ts'),
  copy: () => import('../maintenance/copy-lane.ts'),
};

/** Runs a lane until its port closes; its modules are loaded before there is work. `openStorage` belongs to the composition root. */
export function runLane(port: MessagePort, job: LaneJob, openStorage: (address: StorageAddress) => Promise<Storage>): void {
  const post = (message: FromLane) => port.postMessage(message);
  const loaded = jobs[job]();
  let handlers: Promise<LaneHandler[]> = Promise.reject(new HoldfastError('internal', 'a lane was called before it began'));
  handlers.catch(() => undefined);
  const waiting: CallToLane[] = [];

  const opened: Promise<Repository>[] = [];

  async function open(start: LaneRepository): Promise<{ repository: Repository; index: BlobIndex }> {
    const opening = openInLane(start, openStorage);
    opened.push(opening);
    return { repository: await opening, index: new BlobIndex(start.index) };
  }

  async function begin(start: LaneStart): Promise<LaneHandler[]> {
    const { createLane } = await loaded;
    const { settings } = start;
    const destination = start.destination && (await open(start.destination));
    return [createLane({ ...(await open(start)), destination, settings, notify: (notice) => post({ notice }) })].flat();
  }

  /** Connections that stay open would keep the thread alive. */
  async function end(): Promise<void> {
    port.close();
    await Promise.allSettled(opened.map(async (repository) => (await repository).storage.close?.()));
  }

  /** Has idle handlers carry out what waits, in the order of its arrival. */
  async function carryOut(): Promise<void> {
    let idle: LaneHandler[];
    try {
      idle = await handlers;
    } catch (error) {
      for (const { call } of waiting.splice(0)) post({ call, error: errorDocument(error) });
      return;
    }
    while (waiting.length > 0 && idle.length > 0) void handle(idle, idle.shift() as LaneHandler, waiting.shift() as CallToLane);
  }

  async function handle(idle: LaneHandler[], handler: LaneHandler, { call, message }: CallToLane): Promise<void> {
    try {
      post({ call, reply: await handler(message) });
    } catch (error) {
      post({ call, error: errorDocument(error) });
    }
    idle.push(handler);
    void carryOut();
  }

  port.on('message', (received: ToLane) => {
    if ('end' in received) return void end();
    if ('begin' in received) {
      handlers = begin(received.begin);
      // Whoever calls is told.
      handlers.catch(() => undefined);
      return;
    }
    waiting.push(received);
    void carryOut();
  });
}

async function openInLane(start: LaneRepository, openStorage: (address: StorageAddress) => Promise<Storage>): Promise<Repository> {
  const { encrypt, macK, macR } = start.masterKey;
  // Buffers arrive from another thread as plain byte arrays.
  const masterKey = { encrypt: Buffer.from(encrypt), macK: Buffer.from(macK), macR: Buffer.from(macR) };
  return { storage: await openStorage(start.address), config: start.config, masterKey, seal: createSeal(masterKey) };
}
