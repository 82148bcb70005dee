/** A backup in two passes: what the first reads while everything runs, the second only compares, while everything is halted. */
import { parseHeaderEntries } from '../../format/pack-header.ts';
import type { BlobId } from '../../model/ids.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { IndexWriter } from '../../repository/index-writer.ts';
import type { Counts } from './counters.ts';

/** What the first pass made of a volume. */
export type WarmPass = { tree: BlobId; counts: Counts };

/** An index writer that also lets the trees of the packs that it takes note of be read, by the pass that comes after. */
export const rememberingTrees = (writer: IndexWriter, index: BlobIndex): IndexWriter => ({
  ...writer,
  add(pack) {
    writer.add(pack);
    if (pack.kind !== 'tree') return;
    const number = index.addPack(pack.id);
    for (const { id, kind, offset, length, plainLength } of parseHeaderEntries(pack.entries))
      index.add(id, kind, number, offset, length, plainLength);
  },
});

/**
 * What both passes did, as one backup that is compared with the parent snapshot. What was added is exact. A file that changed before the first
 * pass and again before the second counts once as far as that can be known.
 */
export function countsOfBoth(warm: Counts, last: Counts): Counts {
  const files = split(last.totalFilesProcessed, [warm.filesNew + last.filesNew, Math.max(warm.filesChanged, last.filesChanged)]);
  const dirsTotal = last.dirsNew + last.dirsChanged + last.dirsUnmodified;
  const dirs = split(dirsTotal, [warm.dirsNew + last.dirsNew, Math.max(warm.dirsChanged, last.dirsChanged)]);
  return {
    ...last,
    filesNew: files[0],
    filesChanged: files[1],
    filesUnmodified: files[2],
    dirsNew: dirs[0],
    dirsChanged: dirs[1],
    dirsUnmodified: dirs[2],
    dataBlobs: warm.dataBlobs + last.dataBlobs,
    treeBlobs: warm.treeBlobs + last.treeBlobs,
    dataAdded: warm.dataAdded + last.dataAdded,
    dataAddedPacked: warm.dataAddedPacked + last.dataAddedPacked,
    dataIncompressible: warm.dataIncompressible + last.dataIncompressible,
  };
}

/** New, changed and the rest; never more than there are. */
function split(total: number, [fresh, changed]: [number, number]): [number, number, number] {
  const ofFresh = Math.min(total, fresh);
  const ofChanged = Math.min(total - ofFresh, changed);
  return [ofFresh, ofChanged, total - ofFresh - ofChanged];
}
