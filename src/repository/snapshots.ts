/** Snapshots of a repository: saved, listed, and found by id, identity and time. */
import { decodeSnapshot, encodeSnapshot } from '../format/snapshot-file.ts';
import { parseTime } from '../format/time.ts';
import { HoldfastError } from '../model/errors.ts';
import { parseSnapshotId, type SnapshotId } from '../model/ids.ts';
import { identityFromTags, type Snapshot, type StoredSnapshot } from '../model/snapshot.ts';
import { type Repository, readSealedJson, writeSealedJson } from './repository.ts';

const parallelReads = 16;

/** @returns the id under which the snapshot is stored, durable. @throws `storage`, `storage-full`. */
export async function saveSnapshot(repository: Repository, snapshot: Snapshot): Promise<SnapshotId> {
  return (await writeSealedJson(repository, 'snapshots', encodeSnapshot(snapshot))) as SnapshotId;
}

/** The ids of all snapshots, in no order. */
export async function listSnapshotIds(repository: Repository): Promise<SnapshotId[]> {
  const ids: SnapshotId[] = [];
  for await (const { name } of repository.storage.list('snapshots')) ids.push(name as SnapshotId);
  return ids;
}

/**
 * All snapshots, oldest first.
 * @param onDamaged receives a snapshot file that cannot be read; without it, that is an error.
 * @param onVanished receives the error of a file that the listing named and that is missing.
 */
export async function listSnapshots(
  repository: Repository,
  onDamaged?: (name: string, error: HoldfastError) => void,
  onVanished?: (error: HoldfastError) => void,
): Promise<StoredSnapshot[]> {
  return readSnapshots(repository, await listSnapshotIds(repository), onDamaged, onVanished);
}

/** Those of a listing, oldest first; as {@link listSnapshots}. */
export async function readSnapshots(
  repository: Repository,
  ids: readonly SnapshotId[],
  onDamaged?: (name: string, error: HoldfastError) => void,
  onVanished: (error: HoldfastError) => void = wasForgotten,
): Promise<StoredSnapshot[]> {
  const names = [...ids];
  const found: StoredSnapshot[] = [];
  const readNext = async (): Promise<void> => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      try {
        found.push(await readSnapshot(repository, name));
      } catch (error) {
        if (error instanceof HoldfastError && error.code === 'file-missing') onVanished(error);
        else if (!(error instanceof HoldfastError) || onDamaged === undefined || error.code !== 'damaged') throw error;
        else onDamaged(name, error);
      }
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, readNext));
  return found.sort(byTime);
}

/** By another process, since the listing. */
const wasForgotten = () => undefined;

export async function readSnapshot(repository: Repository, id: SnapshotId): Promise<StoredSnapshot> {
  return decodeSnapshot(await readSealedJson(repository, 'snapshots', id), id);
}

/** The instant of a snapshot, in milliseconds since 1970. */
export function snapshotTimeMs(snapshot: Snapshot): number {
  const { sec, nsec } = parseTime(snapshot.time);
  return sec * 1000 + nsec / 1e6;
}

const byTime = (a: StoredSnapshot, b: StoredSnapshot) => snapshotTimeMs(a) - snapshotTimeMs(b) || (a.id < b.id ? -1 : 1);

/** Snapshots of one volume, by identity: whatever host took them and wherever it was mounted. Order is kept. */
export function ofVolume(snapshots: readonly StoredSnapshot[], project: string, volume: string): StoredSnapshot[] {
  return snapshots.filter((snapshot) => {
    const identity = identityFromTags(snapshot.tags);
    return identity?.project === project && identity.volume === volume;
  });
}

/** The one of an id or its beginning. @throws `snapshot-missing`, `snapshot-ambiguous`. */
export function findById<Named extends Pick<StoredSnapshot, 'id'>>(snapshots: readonly Named[], prefix: string): Named {
  const exact = parseSnapshotId(prefix);
  const matches = snapshots.filter((snapshot) => (exact === undefined ? snapshot.id.startsWith(prefix) : snapshot.id === exact));
  if (matches.length > 1) throw new HoldfastError('snapshot-ambiguous', `${matches.length} snapshots have ids that begin with ${prefix}`);
  const [match] = matches;
  if (match === undefined) throw new HoldfastError('snapshot-missing', `no snapshot has an id that begins with ${JSON.stringify(prefix)}`);
  return match;
}
