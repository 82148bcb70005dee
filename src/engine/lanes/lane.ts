/** The inside of a lane: a worker thread that carries out calls one after the other. */
import type { MessagePort } from 'node:worker_threads';
import { createSeal } from '../../format/seal.ts';
import { errorDocument, HoldfastError } from '../../model/errors.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Storage, StorageAddress } from '../../storage/storage.ts';
import type { FromLane, LaneContext, LaneHandler, LaneJob, LaneRepository, LaneStart, ToLane } from './protocol.ts';

const jobs: Record<LaneJob, () => Promise<{ createLane: (context: LaneContext) => LaneHandler }>> = {
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
  let handler: Promise<LaneHandler> = Promise.reject(new HoldfastError('internal', 'a lane was called before it began'));
  handler.catch(() => undefined);

  const opened: Promise<Repository>[] = [];

  async function open(start: LaneRepository): Promise<{ repository: Repository; index: BlobIndex }> {
    const opening = openInLane(start, openStorage);
    opened.push(opening);
    return { repository: await opening, index: new BlobIndex(start.index) };
  }

  async function begin(start: LaneStart): Promise<LaneHandler> {
    const { createLane } = await loaded;
    const { settings } = start;
    const destination = start.destination && (await open(start.destination));
    return createLane({ ...(await open(start)), destination, settings, notify: (notice) => post({ notice }) });
  }

  /** Connections that stay open would keep the thread alive. */
  async function end(): Promise<void> {
    port.close();
    await Promise.allSettled(opened.map(async (repository) => (await repository).storage.close?.()));
  }

  let last: Promise<void> = Promise.resolve();
  port.on('message', (received: ToLane) => {
    if ('end' in received) return void end();
    if ('begin' in received) {
      handler = begin(received.begin);
      // Whoever calls is told.
      handler.catch(() => undefined);
      return;
    }
    const { call, message } = received;
    last = last.then(async () => {
      try {
        post({ call, reply: await (await handler)(message) });
      } catch (error) {
        post({ call, error: errorDocument(error) });
      }
    });
  });
}

async function openInLane(start: LaneRepository, openStorage: (address: StorageAddress) => Promise<Storage>): Promise<Repository> {
  const { encrypt, macK, macR } = start.masterKey;
  // Buffers arrive from another thread as plain byte arrays.
  const masterKey = { encrypt: Buffer.from(encrypt), macK: Buffer.from(macK), macR: Buffer.from(macR) };
  return { storage: await openStorage(start.address), config: start.config, masterKey, seal: createSeal(masterKey) };
}
