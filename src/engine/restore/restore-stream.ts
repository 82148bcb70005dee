/**
 * Restores a snapshot into a volume that is no directory here: as one tar archive. Everything is written anew, for what is there already cannot be
 * compared without sending all of it. See `StreamTarget` for what such an archive keeps.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { RestoreResult } from '../../model/events.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { findNode } from '../../repository/list-tree.ts';
import { createTrees, type Trees } from '../browse/trees-ahead.ts';
import { joinPath } from '../browse/walk-tree.ts';
import type { TarEntry } from '../source/tar-entry.ts';
import { markerOf, restoreMarkerName } from './marker.ts';
import type { OwnerOptions, RestoreOptions } from './options.ts';
import { directoryEntry, type Placing, streamEntries, withoutDefaultAcl } from './stream-entries.ts';
import type { StreamTarget } from './stream-target.ts';
import { findRestoreRoot, type RestoreRoot } from './subtree.ts';
import { Tally } from './tally.ts';
import { verifyStream } from './verify-stream.ts';

export type RestoreStreamOptions = OwnerOptions &
  Pick<RestoreOptions, 'repository' | 'index' | 'snapshot' | 'volume' | 'subtree' | 'verify' | 'report' | 'signal'> & {
    target: StreamTarget;
    /** Remove what is there before: all of the volume, or of `subtree`. */
    delete: boolean;
  };

/**
 * From before the first change until success, the volume's root holds the marker of a restore, so that nobody takes it for whole; run again, a
 * restore that was interrupted begins anew. With `verify`, everything is read back and compared but extended attributes, which Engines don't
 * tell, and fractions of seconds. A file whose content is damaged ends the restore.
 * @throws `path-missing`; `target-unwritable`, `target-full`; `interrupted`; `damaged`, `file-missing`, `storage`; as `StreamTarget`.
 */
export async function restoreStream(options: RestoreStreamOptions): Promise<RestoreResult> {
  const startedMs = performance.now();
  const { repository, index, snapshot, volume, target, signal, report } = options;
  const subtree = trimmed(options.subtree);
  const blobs = createBlobReader({ storage: repository.storage, seal: repository.seal, index });
  const root = await findRestoreRoot(blobs, snapshot, subtree);
  const place = placeOf(root, subtree);
  const trees = createTrees({ repository, index, signal });
  const tally = new Tally(volume, report, {});
  report({ event: 'volume-started', volume });
  const parents = await missingParents(options, blobs, place, tally);
  const marker = () => target.write(only(markerEntry(options, subtree)), signal);
  await marker();
  if (options.delete) {
    // Emptying takes the marker with it. Nothing that looks whole is there in between: an empty volume is never backed up by mistake.
    await target.remove('entry' in root ? joinPath(place, root.entry.name) : place);
    if (place === '' && !('entry' in root)) await marker();
  }
  await target.write(allEntries(options, { root, place, parents, trees, tally }), signal);
  if (options.verify) await readBack(options, { root, place, trees, tally });
  await target.remove(restoreMarkerName);
  // Removing the marker has changed the root's time.
  const rootNode = 'tree' in root && place === '' ? root.node : undefined;
  if (rootNode !== undefined) await target.write(only(directoryEntry(rootNode, place, placingOf(options), () => undefined)), signal);
  const warnings = tally.reportWarnings();
  const durationMs = Math.round(performance.now() - startedMs);
  const verified = options.verify && tally.problems === 0;
  const result: RestoreResult = { ...tally.counts, problems: tally.problems, warnings, verified, durationMs };
  report({ event: 'restored', volume, snapshot: snapshot.id, target: target.through, result });
  return result;
}

const trimmed = (path: RawString | undefined): RawString =>
  (path ?? '')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/') as RawString;

/** The directory that the content goes to. */
const placeOf = (root: RestoreRoot, subtree: RawString): RawString =>
  'entry' in root ? (subtree.slice(0, Math.max(0, subtree.lastIndexOf('/'))) as RawString) : subtree;

/** Directories above the place that the volume lacks, as the snapshot has them. @throws `target-unwritable` for one that is none. */
async function missingParents(
  options: RestoreStreamOptions,
  blobs: Parameters<typeof findNode>[0],
  place: RawString,
  tally: Tally,
): Promise<TarEntry[]> {
  const missing: TarEntry[] = [];
  const names = place.split('/').filter((name) => name !== '');
  for (let depth = 1; depth <= names.length; depth++) {
    const path = names.slice(0, depth).join('/') as RawString;
    const kind = missing.length > 0 ? undefined : await options.target.kindOf(path);
    if (kind === 'dir') continue;
    if (kind === 'other') {
      const message = `cannot restore to ${displayRaw(path)}: a symlink, or something else that is no directory, is in the way`;
      throw new HoldfastError('target-unwritable', message, { volume: options.volume, file: displayRaw(path) });
    }
    const node = await findNode(blobs, options.snapshot.tree, path);
    if (node !== undefined) missing.push(directoryEntry(node, path, placingOf(options), (warning) => tally.warn(warning)));
  }
  return missing;
}

const placingOf = ({ owner, mapUid, mapGid, target: { keepsAcls } }: RestoreStreamOptions): Placing => ({
  ...(owner && { owner }),
  ...(mapUid && { mapUid }),
  ...(mapGid && { mapGid }),
  keepsAcls,
});

type Work = { root: RestoreRoot; place: RawString; trees: Trees; tally: Tally };

async function* allEntries(
  options: RestoreStreamOptions,
  { root, place, parents, trees, tally }: Work & { parents: readonly TarEntry[] },
): AsyncGenerator<TarEntry> {
  const { keepsAcls } = options.target;
  yield* parents.map(withoutDefaultAcl);
  yield* streamEntries({
    ...{ repository: options.repository, trees, root, place, owners: options, keepsAcls },
    warn: (warning) => tally.warn(warning),
    onEntry({ type }) {
      if (options.signal.aborted) throw options.signal.reason;
      if (type === 'dir') tally.counts.dirsTotal++;
      else tally.counts.filesTotal++;
      if (type !== 'dir') tally.restored(0);
      tally.progress();
    },
    onBytes(bytes) {
      tally.counts.bytesWritten += bytes;
      tally.counts.bytesTotal += bytes;
      tally.progress();
    },
  });
  yield* parents.filter((parent) => withoutDefaultAcl(parent) !== parent);
}

async function readBack({ target, signal, delete: exactly, ...owners }: RestoreStreamOptions, { root, place, trees, tally }: Work) {
  await verifyStream(await target.read(signal), {
    ...{ trees, root, place, owners, keepsAcls: target.keepsAcls, exactly: exactly && place === '' && 'tree' in root },
    onDifference: (path, message) => tally.problem(path, 'differs', message),
  });
}

async function* only(entry: TarEntry): AsyncGenerator<TarEntry> {
  yield entry;
}

function markerEntry({ snapshot, volume }: RestoreStreamOptions, subtree: RawString): TarEntry {
  const now = new Date();
  const bytes = Buffer.from(`${JSON.stringify(markerOf(snapshot.id, volume, subtree, now))}\n`);
  const times = { mtimeSec: Math.floor(now.getTime() / 1000), mtimeNsec: 0 };
  const content = (async function* () {
    yield bytes;
  })();
  const owner = { uid: 0, gid: 0, user: '', group: '' };
  return { type: 'file', path: restoreMarkerName, mode: 0o600, ...owner, ...times, attributes: [], sizeBytes: bytes.length, content };
}
