/** Replaces index files after packs have gone: what stays is named anew, and durably, before the old files are removed. */
import { indexFileFromFragments } from '../../format/index-file.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { type Repository, writeSealedJson } from '../../repository/repository.ts';
import type { PruneIndex } from './prune-index.ts';
import type { PrunePlan } from './prune-plan.ts';

/** restic's bound for one index file. */
const maxBlobsPerFile = 50_000;

/**
 * Writes index files for all packs that stay and that only obsolete files name.
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
  let fragments: string[] = [];
  let blobs = 0;
  let written = 0;
  const flush = async () => {
    if (fragments.length === 0) return;
    checkStopped();
    await writeSealedJson(repository, 'index', indexFileFromFragments(fragments));
    fragments = [];
    blobs = 0;
    written++;
  };
  for (const [pack, action] of actions.entries()) {
    if (action !== 'keep' || done[pack] === 1) continue;
    const entries = index.entriesOf(pack);
    fragments.push(fragmentOf(index, pack, entries));
    blobs += entries.length;
    if (blobs >= maxBlobsPerFile) await flush();
  }
  await flush();
  return written;
}

/** One pack of an index file, as JSON text: what the old index says, place by place. */
function fragmentOf({ blobs }: PruneIndex, pack: number, entries: Uint32Array): string {
  let text = `{"id":"${blobs.packId(pack)}","blobs":[`;
  for (const [i, entry] of entries.entries()) {
    const { kind, offset, length, plainLength } = blobs.location(entry) as BlobLocation;
    const uncompressed = plainLength > 0 ? `,"uncompressed_length":${plainLength}` : '';
    text += `${i > 0 ? ',' : ''}{"id":"${blobs.idOf(entry)}","type":"${kind}","offset":${offset},"length":${length}${uncompressed}}`;
  }
  return `${text}]}`;
}
