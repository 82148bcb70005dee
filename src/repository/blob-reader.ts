/** Reads blobs back: range of a pack, opened, inflated, and held against its id before anyone sees it. */
import { sha256Into } from '../format/kernel/sha256.ts';
import { zstd } from '../format/kernel/zstd.ts';
import type { BlobKind } from '../format/pack-header.ts';
import { type Seal, sealOverheadBytes } from '../format/seal.ts';
import { HoldfastError, isOfContent } from '../model/errors.ts';
import type { BlobId, PackId } from '../model/ids.ts';
import type { FileRef, Storage } from '../storage/storage.ts';
import type { BlobIndex } from './blob-index.ts';

/** The narrow role that readers of snapshots need. */
export interface BlobReader {
  /** @throws `damaged` when no place of the blob holds it intact, or the index knows none; `file-missing`, `storage`. */
  read(kind: BlobKind, id: BlobId): Promise<Buffer>;
}

/** No blob is larger before compression: data blobs end at 8 MiB, and a tree of a million entries takes about 500 MiB. */
const maxPlainBytes = 1024 * 1024 * 1024;

const digest = Buffer.alloc(32);
const wantedDigest = Buffer.alloc(32);

/** Whether the SHA-256 of `plain` is `id`. */
export function hashesTo(plain: Uint8Array, id: BlobId): boolean {
  sha256Into(plain, digest);
  wantedDigest.write(id, 'hex');
  return digest.equals(wantedDigest);
}

/**
 * Opens a sealed blob and verifies that it is the blob `id`. Destroys `sealed`.
 * @param plainLength as in the index: 0 for a blob that isn't compressed.
 * @param scratch where to inflate to; the result is a view of it, or of `sealed`. Made when it is missing or too small.
 * @throws `damaged`
 */
export function openBlob(seal: Seal, sealed: Buffer, plainLength: number, id: BlobId, scratch?: Buffer): Buffer {
  let plain = seal.open(sealed);
  if (plainLength > 0) {
    if (plainLength > maxPlainBytes) throw new HoldfastError('damaged', `blob ${id} claims to inflate to ${plainLength} bytes`);
    const room =
      scratch !== undefined && scratch.length >= plainLength ? scratch.subarray(0, plainLength) : Buffer.allocUnsafeSlow(plainLength);
    const length = zstd.decompress(plain, room);
    if (length !== plainLength) throw new HoldfastError('damaged', `blob ${id} inflates to ${length} bytes instead of ${plainLength}`);
    plain = room;
  }
  if (!hashesTo(plain, id)) throw new HoldfastError('damaged', `blob ${id} is not what its name says`);
  return plain;
}

/** Packs' parts read in one go and kept, because trees that are read one after the other lie near each other. */
const windowBytes = 512 * 1024;

export type BlobReaderOptions = {
  storage: Storage;
  seal: Seal;
  index: BlobIndex;
  /** How many windows of 512 KiB to keep. Default 8. */
  windows?: number;
  /** Trees are read into memory that the next read of a tree uses again: for callers that decode one before they ask for the next. */
  reuse?: boolean;
};

type Window = { pack: number; offset: number; bytes: Promise<Buffer> };

export function createBlobReader({ storage, seal, index, windows: maxWindows = 8, reuse = false }: BlobReaderOptions): BlobReader {
  /** Most recently used last. */
  const windows: Window[] = [];
  const sealedScratch = scratchOf(reuse);
  const plainScratch = scratchOf(reuse);

  const packOfTrees = (pack: number): FileRef => ({ kind: 'data', name: index.packId(pack), holds: 'trees' });

  function windowAt(pack: number, offset: number, length: number): Window {
    const found = windows.findIndex((w) => w.pack === pack && w.offset === offset);
    const window = found >= 0 ? (windows.splice(found, 1)[0] as Window) : readWindow(pack, offset, length);
    windows.push(window);
    if (windows.length > maxWindows) windows.shift();
    return window;
  }

  function readWindow(pack: number, offset: number, length: number): Window {
    const bytes = storage.read(packOfTrees(pack), { offset, length });
    const window = { pack, offset, bytes };
    bytes.catch(() => {
      const at = windows.indexOf(window);
      if (at >= 0) windows.splice(at, 1);
    });
    return window;
  }

  /** A private copy of the sealed blob at a place. */
  async function sealedAt(pack: number, offset: number, length: number): Promise<Buffer> {
    const start = offset - (offset % windowBytes);
    const end = Math.min(start + windowBytes, index.packEnd(pack));
    if (offset + length > end) return storage.read(packOfTrees(pack), { offset, length });
    const bytes = await windowAt(pack, start, end - start).bytes;
    const copy = sealedScratch(length);
    bytes.copy(copy, 0, offset - start, offset - start + length);
    return copy;
  }

  async function readTree(entry: number, id: BlobId): Promise<Buffer> {
    const { offset, length, plainLength } = requirePlace(index, entry, id);
    const sealed = await sealedAt(index.packNumberOf(entry), offset, length);
    return openBlob(seal, sealed, plainLength, id, plainLength > maxScratchBytes ? undefined : plainScratch(plainLength));
  }

  return {
    async read(kind, id) {
      const entry = index.find(id, kind);
      if (entry < 0) throw new HoldfastError('damaged', `${kind} blob ${id} is in no pack that the index knows`);
      if (kind === 'tree') {
        try {
          return await readTree(entry, id);
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
          // Perhaps another copy is intact: the way below reports the failure if not.
        }
      }
      return readAnyCopy({ storage, seal, index }, kind, id);
    },
  };
}

/** Larger trees get memory of their own, which is given back. */
const maxScratchBytes = 4 * 1024 * 1024;

/** Gives buffers of a length: the same memory again and again, or each its own. */
function scratchOf(reuse: boolean): (length: number) => Buffer {
  let scratch = Buffer.alloc(0);
  return (length) => {
    if (!reuse || length > maxScratchBytes) return Buffer.allocUnsafeSlow(length);
    if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(Math.max(length, 64 * 1024));
    return scratch.subarray(0, length);
  };
}

function requirePlace(index: BlobIndex, entry: number, id: BlobId): { pack: PackId; offset: number; length: number; plainLength: number } {
  const place = index.location(entry);
  if (place === undefined) throw new HoldfastError('internal', `blob ${id} is read while it is being stored`);
  if (place.length < sealOverheadBytes) throw new HoldfastError('damaged', `the index gives blob ${id} a length of ${place.length}`);
  return place;
}

/**
 * Reads a blob from the first of its places that holds it intact, from the storage itself whatever a cache may hold.
 * @throws `damaged` or `file-missing` when no place does; `storage` and others when one could not be read.
 */
export async function readAnyCopy(
  { storage, seal, index }: { storage: Storage; seal: Seal; index: BlobIndex },
  kind: BlobKind,
  id: BlobId,
): Promise<Buffer> {
  let failure: HoldfastError | undefined;
  for (const { pack, offset, length, plainLength } of index.locations(id, kind)) {
    try {
      return openBlob(seal, await storage.read({ kind: 'data', name: pack }, { offset, length }), plainLength, id);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      // A copy that cannot be read now may be intact: the blob is not known to be damaged then.
      if (failure !== undefined && !isOfContent(failure)) continue;
      failure = new HoldfastError(error.code, `${kind} blob ${id} in pack ${pack}: ${error.message}`, {
        file: `data/${pack}`,
        cause: error,
      });
    }
  }
  throw failure ?? new HoldfastError('damaged', `${kind} blob ${id} is in no pack that the index knows`);
}
