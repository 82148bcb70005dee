/** A lane of a restore: fetches blobs of one pack after the other, verifies them, writes them, and compares what is there already. */
import { HoldfastError } from '../../model/errors.ts';
import { transfersAtOnce } from '../../storage/storage.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { syncFileSystem } from '../source/posix-io.ts';
import { createComparer } from './lane-compare.ts';
import { createBlobFetcher, createScratch } from './lane-fetch.ts';
import { createWriter } from './lane-write.ts';
import type { LaneCall } from './messages.ts';

export function createLane(context: LaneContext): LaneHandler[] {
  const scratch = createScratch();
  return Array.from({ length: transfersAtOnce(context.repository.storage) }, () => createHandler(context, scratch));
}

/** With buffers of its own: while one waits for its pack, another works. */
function createHandler(context: LaneContext, scratch: Buffer): LaneHandler {
  const fetcher = createBlobFetcher(context, scratch);
  const write = createWriter(fetcher);
  const compare = createComparer(context.index);
  return async (message) => {
    const call = message as LaneCall;
    if (call.call === 'write') return write(call);
    if (call.call === 'compare') return compare(call);
    if (call.call === 'sync') return syncFileSystem(call.fd);
    throw new HoldfastError('internal', 'a lane of a restore got a call that it does not know');
  };
}
