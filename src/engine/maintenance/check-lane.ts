/** A lane of a check: reads trees and packs, and says what is wrong with them. */
import { HoldfastError } from '../../model/errors.ts';
import { transfersAtOnce } from '../../storage/storage.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { type CheckCall, type CheckLaneSettings, progressWords } from './check-messages.ts';
import { createPackChecker } from './lane-packs.ts';
import { createTreeChecker } from './lane-trees.ts';
import { createWork } from './pack-buffers.ts';

/** One call more than packs are read at a time: trees lead to trees, one after the other, and must not wait for packs. */
export function createLane(context: LaneContext): LaneHandler[] {
  const handle = createHandler(context);
  return Array.from({ length: transfersAtOnce(context.repository.storage) + 1 }, () => handle);
}

function createHandler(context: LaneContext): LaneHandler {
  const settings = context.settings as CheckLaneSettings;
  const stop = new Int32Array(settings.stop);
  const progress = new BigInt64Array(settings.progress);
  const count = (word: number, add: number) => {
    Atomics.add(progress, word, BigInt(add));
    if (Atomics.load(stop, 0) !== 0) throw new HoldfastError('interrupted', 'interrupted');
  };
  const work = createWork();
  const withTrees = inTurn(() =>
    createTreeChecker(context, new Int32Array(settings.visited), (bytes) => {
      count(progressWords.treeBytes, bytes);
      count(progressWords.done, 1);
    }),
  );
  const withPacks = inTurn(() => createPackChecker(context, work, (bytes) => count(progressWords.packBytes, bytes)));
  return async (message) => {
    const call = message as CheckCall;
    if (call.call === 'trees') return withTrees((check) => check(call.entries));
    const damages = await withPacks((check) => check(call));
    count(progressWords.done, 1);
    return damages;
  };
}

/** Checkers have buffers of their own, so that one works while the other waits: there are as many as ever work at a time. */
function inTurn<Checker>(create: () => Checker): <Result>(use: (checker: Checker) => Promise<Result>) => Promise<Result> {
  const idle: Checker[] = [];
  return async (use) => {
    const checker = idle.pop() ?? create();
    try {
      return await use(checker);
    } finally {
      idle.push(checker);
    }
  };
}
