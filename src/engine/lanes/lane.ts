/** The inside of a lane: a worker thread that carries out calls one after the other. */
import type { MessagePort } from 'node:worker_threads';
import { createSeal } from '../../format/seal.ts';
import { errorDocument } from '../../model/errors.ts';
import { BlobIndex } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Storage } from '../../storage/storage.ts';
import type { FromLane, LaneContext, LaneHandler, LaneJob, LaneStart, ToLane } from './protocol.ts';

const jobs: Record<LaneJob, () => Promise<{ createLane: (context: LaneContext) => LaneHandler }>> = {
  backup: () => import('../backup/lane.ts'),
  restore: () => import('../restore/lane.ts'),
  check: () => import('../maintenance/check-lane.ts'),
};

/** Runs a lane until its port closes. `openStorage` belongs to the composition root. */
export async function runLane(port: MessagePort, start: LaneStart, openStorage: (url: string) => Promise<Storage>): Promise<void> {
  const post = (message: FromLane) => port.postMessage(message);
  const storage = await openStorage(start.storageUrl);
  const key = start.masterKey;
  const masterKey = { encrypt: Buffer.from(key.encrypt), macK: Buffer.from(key.macK), macR: Buffer.from(key.macR) };
  const repository: Repository = { storage, config: start.config, masterKey, seal: createSeal(masterKey) };
  const { createLane } = await jobs[start.job]();
  const handle = createLane({
    repository,
    index: new BlobIndex(start.index),
    settings: start.settings,
    notify: (notice) => post({ notice }),
  });

  let last: Promise<void> = Promise.resolve();
  port.on('message', ({ call, message }: ToLane) => {
    last = last.then(async () => {
      try {
        post({ call, reply: await handle(message) });
      } catch (error) {
        post({ call, error: errorDocument(error) });
      }
    });
  });
}
