/** A lane of a copy: reads trees of the source, marks what the destination lacks, and copies that. */
import { HoldfastError } from '../../model/errors.ts';
import type { TreeNode } from '../../model/node.ts';
import { PackWriter } from '../../repository/pack-writer.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { createBlobCopier } from './copy-blobs.ts';
import { type CopyCall, type CopyLaneSettings, type CopyNotice, copyWords } from './copy-messages.ts';
import { createTreeChecker } from './lane-trees.ts';

export function createLane(context: LaneContext): LaneHandler {
  const { index, repository, destination } = context;
  if (destination === undefined) throw new HoldfastError('internal', 'a lane of a copy has no destination');
  const settings = context.settings as CopyLaneSettings;
  const missing = new Int32Array(settings.missing);
  const stop = new Int32Array(settings.stop);
  const counts = new BigInt64Array(settings.counts);
  const count = (word: number, add: number) => Atomics.add(counts, word, BigInt(add));
  const throwIfStopped = () => {
    if (Atomics.load(stop, 0) !== 0) throw new HoldfastError('interrupted', 'interrupted');
  };

  function wants(entry: number): void {
    const bit = 1 << (entry & 31);
    if ((Atomics.or(missing, entry >>> 5, bit) & bit) !== 0) return;
    count(copyWords.blobsMissing, 1);
    count(copyWords.bytesMissing, index.location(entry)?.length ?? 0);
  }

  /** A tree that the destination has says nothing of what is below: an interrupted run may have stored it first. */
  function markMissing(tree: number, nodes: readonly TreeNode[]): void {
    if (!destination?.index.has(index.idOf(tree), 'tree')) wants(tree);
    for (const { content } of nodes) {
      for (const id of content ?? []) {
        if (destination?.index.has(id, 'data')) continue;
        const entry = index.find(id, 'data');
        if (entry >= 0) wants(entry);
      }
    }
  }

  const checkTrees = createTreeChecker(
    context,
    new Int32Array(settings.visited),
    () => {
      throwIfStopped();
      count(copyWords.trees, 1);
    },
    markMissing,
  );

  const { storage, seal, config } = destination.repository;
  const writer = new PackWriter({
    storage,
    seal,
    formatVersion: config.version,
    level: settings.compressionLevel,
    onStored: (pack) => context.notify({ notice: 'stored', pack } satisfies CopyNotice),
  });
  const copyBlobs = createBlobCopier({
    source: { repository, index },
    destination,
    writer,
    onCopied(sourceBytes, { storedBytes }) {
      throwIfStopped();
      count(copyWords.blobsCopied, 1);
      count(copyWords.bytesCopied, sourceBytes);
      count(copyWords.bytesStored, storedBytes);
    },
  });

  return async (message) => {
    const call = message as CopyCall;
    if (call.call === 'trees') return checkTrees(call.entries);
    if (call.call === 'drain') return writer.drain();
    throwIfStopped();
    return copyBlobs(call.entries);
  };
}
