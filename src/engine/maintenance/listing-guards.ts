/** What a prune believes of listings: nothing that would make it remove what somebody needs. */
import { HoldfastError } from '../../model/errors.ts';
import type { Storage } from '../../storage/storage.ts';

/** For a snapshot that is listed and missing: nobody forgets it while the repository is locked exclusively. @throws `storage`. */
export function refuseVanished(cause: HoldfastError): never {
  throw new HoldfastError('storage', `${cause.message}, though it was listed: what it needs is not known, and nothing was removed`, {
    remedy: 'run again later: some storages list for a while what was removed',
    cause,
  });
}

/**
 * Looks once more for files that those which are `known` are all of: a listing may have been incomplete, and who took our lock for stale makes
 * new ones. Called before anything goes that they might need.
 * @throws `storage`.
 */
export async function refuseNewcomers(storage: Storage, kind: 'snapshots' | 'index', known: ReadonlySet<string>): Promise<void> {
  for await (const { name } of storage.list(kind)) {
    if (known.has(name)) continue;
    const file = `${kind}/${name}`;
    throw new HoldfastError('storage', `${file} was not there when the prune began, though the repository is locked exclusively`, {
      file,
      remedy: 'no pack that an index named was removed; run again, and see that the clocks of all hosts are right',
    });
  }
}
