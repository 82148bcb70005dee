/**
 * Replaces index files safely: what is right in them is written anew first, and only then are they removed. At any instant the index
 * files together say at least what is true.
 */
import { indexFileFromFragments, indexFragmentOfPlaces } from '../../format/index-file.ts';
import type { PackEntry } from '../../format/pack-header.ts';
import type { PackId } from '../../model/ids.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { type Repository, writeSealedJson } from '../../repository/repository.ts';
import type { CheckedIndex, IndexFileState } from './checked-index.ts';

/** restic's bound for one index file. */
const maxBlobsPerFile = 50_000;

/** What the index is to say of a pack from now on; made when it is written. Undefined: the pack is to be in no index. */
export type PackTruth = (() => readonly PackEntry[]) | undefined;

export type IndexRewrite = {
  /** Index files that stay as they are. */
  kept: IndexFileState[];
  /** Index files that others replace. */
  removed: IndexFileState[];
  /** Packs that are named anew. */
  written: { pack: PackId; places: () => readonly PackEntry[] }[];
};

/**
 * Plans new index files.
 * @param truths what is to change, by the pack's id; all other packs stay as the index files say.
 * @param scope `all`: files that are damaged, flawed, or name packs that another file names, go too; `changed`: only files that
 * name what changes.
 */
export function planIndexRewrite(checked: CheckedIndex, truths: ReadonlyMap<string, PackTruth>, scope: 'all' | 'changed'): IndexRewrite {
  const kept: IndexFileState[] = [];
  const removed: IndexFileState[] = [];
  const whole = new Uint8Array(checked.index.packCount);
  // The largest first: of two files that name the same pack it is the one that stays.
  for (const file of checked.states.toSorted((a, b) => b.blobCounts.size - a.blobCounts.size)) {
    const packs = [...file.blobCounts.keys()];
    const sound = (pack: number) => file.blobCounts.get(pack) === checked.blobCount(pack) && whole[pack] === 0;
    const stays =
      !packs.some((pack) => truths.has(checked.index.packId(pack))) &&
      (scope === 'changed' || (file.state === 'good' && !file.flawed && packs.every(sound)));
    (stays ? kept : removed).push(file);
    if (stays) for (const pack of packs) if (sound(pack)) whole[pack] = 1;
  }
  const written: IndexRewrite['written'] = [];
  for (let number = 0; number < whole.length; number++) {
    const pack = checked.index.packId(number);
    if (whole[number] === 0 && !truths.has(pack)) written.push({ pack, places: () => placesOf(checked, number) });
  }
  for (const [pack, places] of truths) if (places !== undefined) written.push({ pack: pack as PackId, places });
  return { kept, removed, written };
}

/** What the index files say of a pack, in the order of the places. */
export function placesOf(checked: CheckedIndex, number: number): PackEntry[] {
  const { index } = checked;
  return Array.from(checked.pack(number).entries, (entry): PackEntry => {
    const { kind, offset, length, plainLength } = index.location(entry) as BlobLocation;
    return { id: index.idOf(entry), kind, offset, length, plainLength };
  });
}

/** Writes what is to be written, then removes what is to be removed. @throws `storage`, `storage-full`; what `checkStopped` throws. */
export async function carryOutIndexRewrite(repository: Repository, rewrite: IndexRewrite, checkStopped: () => void): Promise<void> {
  let fragments: string[] = [];
  let blobs = 0;
  const flush = async () => {
    checkStopped();
    if (fragments.length > 0) await writeSealedJson(repository, 'index', indexFileFromFragments(fragments));
    fragments = [];
    blobs = 0;
  };
  for (const { pack, places } of rewrite.written) {
    const found = places();
    fragments.push(indexFragmentOfPlaces(pack, found));
    blobs += found.length;
    if (blobs >= maxBlobsPerFile) await flush();
  }
  await flush();
  for (const { name } of rewrite.removed) {
    checkStopped();
    await repository.storage.remove({ kind: 'index', name });
  }
}
