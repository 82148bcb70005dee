/** Replaces index files after packs have gone: what stays is named anew, and durably, before the old files are removed. */
import type { BlobLocation } from '../../repository/blob-index.ts';
import { type Repository, writeSealedJson } from '../../repository/repository.ts';
import { IndexText } from './index-text.ts';
import type { PruneIndex } from './prune-index.ts';
import type { PrunePlan } from './prune-plan.ts';

/** restic's bound for one index file. */
export const maxBlobsPerFile = 50_000;

/**
 * Writes index files for all packs that stay and that only obsolete files name, as the old ones described them.
 * @param checkStopped throws to stop, before each file.
 * @returns how many files were written. @throws `storage`, `storage-full`.
 */
export async function writeRemainingIndex(
  repository: Repository,
  index: PruneIndex,
  { actions, obsoleteIndexFiles }: PrunePlan,
  checkStopped: () => void,
): Promise<number> {
  const obsolete = new Set(obsoleteIndexFiles);
  const done = new Uint8Array(actions.length);
  for (const [file, { packs }] of index.files.entries()) if (!obsolete.has(file)) for (const pack of packs) done[pack] = 1;
  const text = new IndexText();
  let written = 0;
  const flush = async () => {
    const json = text.take();
    if (json === undefined) return;
    checkStopped();
    await writeSealedJson(repository, 'index', json);
    written++;
  };
  for (const [pack, action] of actions.entries()) {
    if (action !== 'keep' || done[pack] === 1) continue;
    describePack(text, index, pack);
    if (text.blobs >= maxBlobsPerFile) await flush();
  }
  await flush();
  return written;
}

function describePack(text: IndexText, index: PruneIndex, pack: number): void {
  const { blobs } = index;
  text.beginPack(blobs.packId(pack));
  for (const entry of index.entriesOf(pack)) {
    const { kind, offset, length, plainLength } = blobs.location(entry) as BlobLocation;
    text.blob(kind, blobs.idOf(entry), offset, length, plainLength);
  }
  text.endPack();
}
