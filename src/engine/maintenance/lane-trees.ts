/** A lane's part of walking the trees: reads them, in the order in which they lie in their packs, and inspects them. */
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { TreeNode } from '../../model/node.ts';
import type { BlobLocation } from '../../repository/blob-index.ts';
import { openBlob, readAnyCopy } from '../../repository/blob-reader.ts';
import type { LaneContext } from '../lanes/protocol.ts';
import type { TreesChecked } from './check-messages.ts';
import { type Damage, kindOfFailure } from './damage.ts';
import { inspectTree } from './inspect-tree.ts';

/** Trees that lie this near to each other are read together. */
const maxGapBytes = 64 * 1024;
const maxRangeBytes = 512 * 1024;

type Place = BlobLocation & { entry: number };
type Range = { pack: string; offset: number; end: number; places: Place[] };

export type TreeChecker = (entries: Uint32Array) => Promise<TreesChecked>;

/**
 * @param onRead is told of every tree that is done, with its stored length.
 * @param onTree receives every tree that can be read: its entry and its nodes.
 */
export function createTreeChecker(
  { repository: { storage, seal }, index }: LaneContext,
  visited: Int32Array,
  onRead: (bytes: number) => void,
  onTree?: (entry: number, nodes: readonly TreeNode[]) => void,
): TreeChecker {
  const buffer = Buffer.allocUnsafeSlow(maxRangeBytes);
  const scratch = Buffer.allocUnsafeSlow(2 * maxRangeBytes);

  /** True for exactly one of all lanes. */
  function takeOn(entry: number): boolean {
    const bit = 1 << (entry & 31);
    return (Atomics.or(visited, entry >>> 5, bit) & bit) === 0;
  }

  async function readRange({ pack, offset, end }: Range): Promise<Buffer | HoldfastError> {
    const length = end - offset;
    try {
      const range = { offset, length, ...(length <= buffer.length ? { into: buffer } : {}) };
      return await storage.read({ kind: 'data', name: pack, holds: 'trees' }, range);
    } catch (error) {
      if (error instanceof HoldfastError) return error;
      throw error;
    }
  }

  /** @returns the tree from the first of its places that holds it intact; one that doesn't is a damage, and so is having none left. */
  async function openTree(place: Place, bytes: Buffer | HoldfastError, from: number, damages: Damage[]): Promise<Buffer | undefined> {
    const { entry, pack, offset, length, plainLength } = place;
    const id = index.idOf(entry);
    try {
      if (!Buffer.isBuffer(bytes)) throw bytes;
      return openBlob(seal, bytes.subarray(offset - from, offset - from + length), plainLength, id, scratch);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      const copy = await readAnyCopy({ storage, seal, index }, 'tree', id).catch((failure: unknown) => {
        if (failure instanceof HoldfastError && failure.code !== 'interrupted') return failure;
        throw failure;
      });
      const lost = Buffer.isBuffer(copy) ? {} : { tree: entry };
      const message = `tree blob ${id} at ${offset} of pack ${pack}: ${error.message}`;
      damages.push({ kind: kindOfFailure(error, 'blob-damaged'), message, file: `data/${pack}`, entries: [entry], ...lost });
      if (Buffer.isBuffer(copy)) return copy;
      // This place is damaged, but not every one: nobody knows.
      if (isOfContent(error) && !isOfContent(copy)) {
        damages.push({ kind: 'unreadable', message: copy.message, ...(copy.file === undefined ? {} : { file: copy.file }), ...lost });
      }
      return undefined;
    }
  }

  return async (entries) => {
    const damages: Damage[] = [];
    const subtrees: number[] = [];
    const onSubtree = (entry: number) => {
      if (takeOn(entry)) subtrees.push(entry);
    };
    const onDamage = (damage: Damage) => damages.push(damage);
    for (const range of rangesOf(entries, (entry) => index.location(entry) as BlobLocation)) {
      const bytes = await readRange(range);
      for (const place of range.places) {
        const plain = await openTree(place, bytes, range.offset, damages);
        onRead(place.length);
        if (plain === undefined) continue;
        try {
          const nodes = decodeTree(plain);
          inspectTree(place.entry, nodes, index, onSubtree, onDamage);
          onTree?.(place.entry, nodes);
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
          const kind = error.code === 'unsafe-name' ? 'unsafe-name' : 'tree-invalid';
          damages.push({
            kind,
            message: `tree ${index.idOf(place.entry)}: ${error.message}`,
            file: `data/${place.pack}`,
            tree: place.entry,
          });
        }
      }
    }
    return { subtrees: Uint32Array.from(subtrees), damages };
  };
}

/** Joins places that lie near each other. Places that overlap (an index that lies) are read apart, because opening destroys what it reads. */
function rangesOf(entries: Uint32Array, locate: (entry: number) => BlobLocation): Range[] {
  const places = Array.from(entries, (entry): Place => ({ ...locate(entry), entry }));
  places.sort((a, b) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1));
  const ranges: Range[] = [];
  for (const place of places) {
    const end = place.offset + place.length;
    const last = ranges.at(-1);
    const near = last !== undefined && last.pack === place.pack && place.offset >= last.end && place.offset - last.end <= maxGapBytes;
    if (near && end - last.offset <= maxRangeBytes) {
      last.end = end;
      last.places.push(place);
    } else {
      ranges.push({ pack: place.pack, offset: place.offset, end, places: [place] });
    }
  }
  return ranges;
}
