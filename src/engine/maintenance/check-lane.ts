/** A lane of a check: reads trees and packs, and says what is wrong with them. */
import { HoldfastError } from '../../model/errors.ts';
import { transfersAtOnce } from '../../storage/storage.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { type CheckCall, type CheckLaneSettings, progressWords } from './check-messages.ts';
import { createPackChecker, type PackChecker } from './lane-packs.ts';
import { createTreeChecker } from './lane-trees.ts';
import { createWork } from './pack-buffers.ts';

export function createLane(context: LaneContext): LaneHandler[] {
  const work = createWork();
  return Array.from({ length: transfersAtOnce(context.repository.storage) }, () => createHandler(context, work));
}

/** With buffers of its own: while one waits for its pack, another works. */
function createHandler(context: LaneContext, work: Buffer): LaneHandler {
  const settings = context.settings as CheckLaneSettings;
  const stop = new Int32Array(settings.stop);
  const progress = new BigInt64Array(settings.progress);
  const count = (word: number, add: number) => {
    Atomics.add(progress, word, BigInt(add));
    if (Atomics.load(stop, 0) !== 0) throw new HoldfastError('interrupted', 'interrupted');
  };
  const checkTrees = createTreeChecker(context, new Int32Array(settings.visited), (bytes) => {
    count(progressWords.treeBytes, bytes);
    count(progressWords.done, 1);
  });
  let packChecker: PackChecker | undefined;
  return async (message) => {
    const call = message as CheckCall;
    if (call.call === 'trees') return checkTrees(call.entries);
    const checkPack: PackChecker = packChecker ?? createPackChecker(context, work, (bytes) => count(progressWords.packBytes, bytes));
    packChecker = checkPack;
    const damages = await checkPack(call);
    count(progressWords.done, 1);
    return damages;
  };
}
