/** A lane of a prune: walks trees and marks what they use, then copies what stays of packs that go. */
import { HoldfastError } from '../../model/errors.ts';
import { PackWriter } from '../../repository/pack-writer.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { progressWords } from './check-messages.ts';
import { compressionLevel, createRepacker, type Repacker } from './lane-repack.ts';
import { createTreeChecker } from './lane-trees.ts';
import { MarkingIndex } from './marking-index.ts';
import type { PruneCall, PruneLaneSettings, PruneNotice } from './prune-messages.ts';

export function createLane(context: LaneContext): LaneHandler {
  const settings = context.settings as PruneLaneSettings;
  const stop = new Int32Array(settings.stop);
  const progress = new BigInt64Array(settings.progress);
  const used = new Int32Array(settings.visited);
  const { storage, seal, config } = context.repository;
  const count = (word: number, add: number) => {
    Atomics.add(progress, word, BigInt(add));
    if (Atomics.load(stop, 0) !== 0) throw new HoldfastError('interrupted', 'interrupted');
  };
  const walkTrees = createTreeChecker({ ...context, index: new MarkingIndex(context.index.memory, used) }, used, (bytes) => {
    count(progressWords.treeBytes, bytes);
    count(progressWords.done, 1);
  });
  const writer = new PackWriter({
    storage,
    seal,
    formatVersion: config.version,
    level: compressionLevel,
    onStored: (pack) => context.notify({ notice: 'stored', pack } satisfies PruneNotice),
  });
  let made: Repacker | undefined;
  const repacker = (): Repacker => {
    made ??= createRepacker({
      context,
      writer,
      compressData: settings.compressData,
      onDone: (bytes) => count(progressWords.packBytes, bytes),
    });
    return made;
  };
  return async (message) => {
    const call = message as PruneCall;
    if (call.call === 'trees') return walkTrees(call.entries);
    if (call.call === 'drain') return writer.drain();
    await repacker()[call.call](call.entries);
    return undefined;
  };
}
