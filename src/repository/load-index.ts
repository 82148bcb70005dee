import { readIndexFile } from '../format/index-file.ts';
import { HoldfastError } from '../model/errors.ts';
import { BlobIndex } from './blob-index.ts';
import { type Repository, readSealedJson } from './repository.ts';

/** Index files read at once: enough to hide a storage's latency, few enough to bound memory (each is a few MiB). */
const parallelReads = 4;

/**
 * Loads all index files. A pack or blob that several of them name (as after a repair that was interrupted) is entered once a place.
 * @param onDamaged receives an index file that cannot be used; without it, that is an error.
 * @param index an empty one to load into, which lanes may have already.
 * @throws `damaged`, `storage`.
 */
export async function loadIndex(
  repository: Repository,
  onDamaged?: (name: string, error: HoldfastError) => void,
  index = new BlobIndex(),
): Promise<BlobIndex> {
  const packs = new Map<string, number>();
  const names: string[] = [];
  for await (const { name } of repository.storage.list('index')) names.push(name);

  const loadNext = async (): Promise<void> => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      try {
        enter(index, packs, await readSealedJson(repository, 'index', name));
      } catch (error) {
        if (!(error instanceof HoldfastError) || onDamaged === undefined || error.code !== 'damaged') throw error;
        onDamaged(name, error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelReads, names.length) }, loadNext));
  return index;
}

function enter(index: BlobIndex, packs: Map<string, number>, json: Buffer): void {
  let pack = -1;
  let known = false;
  readIndexFile(json, {
    pack(id) {
      const number = packs.get(id);
      known = number !== undefined;
      pack = number ?? index.addPack(id);
      if (!known) packs.set(id, pack);
    },
    blob(kind, id, offset, length, plainLength) {
      if (known && index.locations(id, kind).some((place) => place.offset === offset && index.packId(pack) === place.pack)) return;
      index.add(id, kind, pack, offset, length, plainLength);
    },
  });
}
