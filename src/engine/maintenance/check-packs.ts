/** Holds the packs that the storage lists against what the index says of them. */
import { formatSize } from '../../model/quantities.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Storage } from '../../storage/storage.ts';
import type { CheckedIndex, IndexedPack } from './checked-index.ts';
import type { Findings } from './findings.ts';
import type { SizedPack } from './read-data.ts';

/** A pack that is there and that the index names. */
export type StoredPack = SizedPack & { number: number };

export type PacksChecked = {
  packs: StoredPack[];
  /** Packs about which index and storage disagree: which blobs that hits only reading them can tell. */
  suspicious: StoredPack[];
};

/** The packs of a storage by their names, with their sizes. */
export type PackSizes = ReadonlyMap<string, number>;

/** @throws `storage` */
export async function listPacks(storage: Storage): Promise<PackSizes> {
  const sizes = new Map<string, number>();
  for await (const { name, sizeBytes } of storage.list('data')) sizes.set(name, sizeBytes);
  return sizes;
}

/** @param sizes listed when all index files were listed already. */
export function checkPacks(sizes: PackSizes, checked: CheckedIndex, findings: Findings): PacksChecked {
  let unindexed = 0;
  let unindexedBytes = 0;
  for (const [name, sizeBytes] of sizes) {
    if (checked.hasPack(name)) continue;
    unindexed++;
    unindexedBytes += sizeBytes;
  }
  if (unindexed > 0) {
    const packs = `${unindexed} packs (${formatSize(unindexedBytes)}) are in no index`;
    const meaning = findings.indexIsPartial ? ' file that could be read' : ', as an interrupted run leaves them; `prune` removes them';
    findings.note('pack-unindexed', `${packs}${meaning}`);
  }
  const result: PacksChecked = { packs: [], suspicious: [] };
  for (let number = 0; number < checked.index.packCount; number++) checkPack(checked, checked.pack(number), sizes, findings, result);
  return result;
}

function checkPack(checked: CheckedIndex, pack: IndexedPack, sizes: PackSizes, findings: Findings, result: PacksChecked): void {
  const { number, id, entries, conflict } = pack;
  const sizeBytes = sizes.get(id);
  if (sizeBytes === undefined) {
    const message = `pack ${id} with ${entries.length} blobs, which ${checked.fileOf(number)} names, is missing`;
    return findings.add({ kind: 'pack-missing', message, file: `data/${id}`, entries: [...entries] });
  }
  const stored = { number, id, sizeBytes };
  result.packs.push(stored);
  if (conflict !== undefined) {
    const message = `the index puts the blobs of pack ${id} where they cannot be: ${conflict}`;
    findings.add({ kind: 'index-conflict', message, file: checked.fileOf(number) });
  } else if (sizeBytes !== pack.sizeBytes) {
    const message = `pack ${id} is ${sizeBytes} bytes long; its blobs and its header make up ${pack.sizeBytes}`;
    findings.add({ kind: 'pack-size', message, file: `data/${id}`, entries: entriesBeyond(checked.index, entries, sizeBytes) });
  } else {
    return;
  }
  result.suspicious.push(stored);
}

function entriesBeyond(index: BlobIndex, entries: Uint32Array, sizeBytes: number): number[] {
  return [...entries].filter((entry) => {
    const place = index.location(entry);
    return place === undefined || place.offset + place.length > sizeBytes;
  });
}

/** Names told in one note. */
const namesTold = 5;

/** Notes what lies in the repository's folders and is none of its files. @throws `storage`. */
export async function checkStrangers(storage: Storage, findings: Findings): Promise<void> {
  const unfinished = { names: [] as string[], count: 0, bytes: 0 };
  const unknown = { names: [] as string[], count: 0, bytes: 0 };
  for await (const { path, sizeBytes, unfinished: onItsWay } of storage.strangers?.() ?? []) {
    const found = onItsWay ? unfinished : unknown;
    found.count++;
    found.bytes += sizeBytes;
    if (found.names.length < namesTold) found.names.push(path);
  }
  const told = ({ names, count, bytes }: typeof unknown) =>
    `${count} (${formatSize(bytes)}): ${names.join(', ')}${count > names.length ? `, and ${count - names.length} more` : ''}`;
  if (unfinished.count > 0) findings.note('unfinished-file', `files of writers that are at work or were killed: ${told(unfinished)}`);
  if (unknown.count > 0) findings.note('unknown-file', `files or folders that are none of the repository: ${told(unknown)}`);
}
