/**
 * Restores a volume from a snapshot: walks its trees, has the lanes fetch and write what is missing or different, sets metadata, and
 * reads everything back if asked to. See docs/architecture.md for the byte's way.
 */
import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../../model/errors.ts';
import type { RestoreResult } from '../../model/events.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { type BlobReader, createBlobReader } from '../../repository/blob-reader.ts';
import { transfersAtOnce } from '../../storage/storage.ts';
import { errnoName, O_DIRECTORY, O_RDONLY } from '../source/posix-constants.ts';
import { sync } from '../source/posix-io.ts';
import { close, openBeneath } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import type { PassContext, PassMode } from './context.ts';
import { Directories, type Directory } from './directories.ts';
import { Dispatcher } from './dispatcher.ts';
import { differenceText } from './files.ts';
import { markerOf, readMarker, removeMarker, temporaryPrefix, writeMarker } from './marker.ts';
import { applyMetadata, metadataOf } from './metadata.ts';
import type { RestoreOptions } from './options.ts';
import { Pass } from './pass.ts';
import { findRestoreRoot, type RestoreRoot } from './subtree.ts';
import { Tally } from './tally.ts';
import { groupIsInherited, openTarget, pathOfTarget, type Target, targetError, throwMarkerRefused } from './target.ts';

/**
 * Restores a snapshot, or the part of it below `subtree`, to a directory, or to one `beneath` that.
 *
 * From before the first change until success there is a file `.holdfast-restore.json` in the target: an interrupted restore is
 * recognised by it, and running it again verifies what is there and fetches the rest. With `verify`, everything is flushed to the disk as well.
 * Problems with single files are reported as events and counted in the result; a file that lacks parts never keeps its name.
 * @throws `path-missing`; `target-unwritable`, `target-full`; `interrupted`; `damaged` when the root's tree cannot be read; `storage`,
 * `storage-denied` when the storage fails on the way.
 */
export async function restoreVolume(options: RestoreOptions): Promise<RestoreResult> {
  const startedMs = performance.now();
  const { repository, index, snapshot, volume, dryRun } = options;
  const subtree = options.subtree ?? ('' as RawString);
  const blobs = createBlobReader({ storage: repository.storage, seal: repository.seal, index });
  const root = await findRestoreRoot(blobs, snapshot, subtree);
  if (options.signal.aborted) throw new HoldfastError('interrupted', 'the restore was interrupted', { volume });
  const tally = new Tally(volume, options.report, subtree === '' ? expectedOf(options) : {});
  options.report({ event: 'volume-started', volume });

  const target = openTarget(options, !dryRun);
  let verified = false;
  let readBackMs: number | undefined;
  try {
    await runPass({ options, blobs, root, target, tally, mode: dryRun ? 'dry-run' : 'write', subtree });
    if (options.verify && !dryRun) {
      const writtenMs = performance.now();
      await runPass({ options, blobs, root, target, tally, mode: 'verify', subtree });
      readBackMs = Math.round(performance.now() - writtenMs);
      verified = tally.problems === 0;
    }
    if (!dryRun) finishTarget(options, root, target, tally);
  } catch (error) {
    throw dryRun ? error : resumable(error, volume);
  } finally {
    if (target.fd >= 0) close(target.fd);
  }
  const warnings = tally.reportWarnings();
  const durationMs = Math.round(performance.now() - startedMs);
  const result: RestoreResult = {
    ...tally.counts,
    problems: tally.problems,
    warnings,
    verified,
    durationMs,
    ...(readBackMs === undefined ? {} : { readBackMs }),
  };
  options.report({ event: 'restored', volume, snapshot: snapshot.id, target: displayRaw(pathOfTarget(options)), result });
  return result;
}

/** That the storage failed says nothing of the snapshot: what is restored stays, and the same restore goes on from there. */
function resumable(error: unknown, volume: string): unknown {
  if (!(error instanceof HoldfastError) || (error.code !== 'storage' && error.code !== 'storage-denied')) return error;
  const { code, message, file, remedy } = error;
  return new HoldfastError(code, message, {
    volume,
    ...(file === undefined ? {} : { file }),
    remedy: `${remedy}; then run the same restore again: it keeps what is restored already`,
    cause: error.cause,
  });
}

function expectedOf({ snapshot: { summary } }: RestoreOptions): { filesTotal?: number; bytesTotal?: number } {
  if (summary === undefined) return {};
  return { filesTotal: summary.totalFilesProcessed, bytesTotal: summary.totalBytesProcessed };
}

type PassOptions = {
  options: RestoreOptions;
  blobs: BlobReader;
  root: RestoreRoot;
  target: Target;
  tally: Tally;
  mode: PassMode;
  subtree: RawString;
};

async function runPass({ options, blobs, root, target, tally, mode, subtree }: PassOptions): Promise<void> {
  const { volume, snapshot, index, lanes } = options;
  let resumed = false;
  if (mode === 'write') {
    resumed = readMarker(target.fd) !== undefined;
    const result = writeMarker(target.fd, markerOf(snapshot.id, volume, subtree, new Date()));
    if (result < 0) throwMarkerRefused(result, options);
  }
  const dispatcher = new Dispatcher(lanes.lanes, transfersAtOnce(options.repository.storage));
  const directories = new Directories((directory) => finishDirectory(context, directory));
  let temporaries = 0;
  const temporaryStart = `${temporaryPrefix}${randomBytes(6).toString('hex')}-`;
  const context: PassContext = {
    mode,
    options,
    index,
    dispatcher,
    directories,
    tally,
    warn: (warning) => tally.warn(warning),
    resumed,

    nextTemporary: () => `${temporaryStart}${++temporaries}` as RawString,
  };
  const pass = new Pass(context, blobs);
  const directory = directories.add(rootDirectory(target));
  if (mode === 'write') directory.groupIsInherited = groupIsInherited(directory);
  try {
    await ('tree' in root ? pass.run(directory, root.tree) : pass.runNodes(directory, undefined, [root.entry]));
    // As other tools, a restore ends when the system has everything; who asks for proof gets it from the disk.
    if (mode === 'write' && options.verify) await flush(context, directory);
  } finally {
    await dispatcher.stop();
    pass.abandon();
    directories.closeAll();
  }
}

/** The target as a directory of a pass, with a descriptor of its own. What the node says of it is set at the very end. */
function rootDirectory({ fd, fresh, device }: Target): Directory {
  const name = '' as RawString;
  const own = fd < 0 ? -1 : openBeneath(fd, name, O_RDONLY | O_DIRECTORY);
  return { parent: undefined, name, path: name, node: undefined, fd: own, fresh: fd < 0, device, inherits: !fresh, users: 1 };
}

const stat = new Stat();

/** Sets, or compares, the metadata of a directory in which nothing is under way any more. */
function finishDirectory(context: PassContext, directory: Directory): void {
  const { mode, options, tally, directories } = context;
  if (directory.node === undefined || mode === 'dry-run') return;
  const fd = directories.fdOf(directory);
  const known = fd < 0 ? fd : statFd(fd, stat);
  if (known < 0) return tally.problem(directory.path, 'metadata', `cannot look at it: ${errnoName(known)}`);
  const differs = applyMetadata(fd, undefined, metadataOf(directory.node, options), { stat }, context.warn, mode === 'write');
  const metadata = differs & ~tally.refusedBits;
  if (mode === 'verify' && metadata !== 0) tally.problem(directory.path, 'differs', `not as in the snapshot: ${differenceText(metadata)}`);
}

/** "Restored" must survive a power failure. @throws `target-unwritable` */
async function flush({ dispatcher, options }: PassContext, { fd }: Directory): Promise<void> {
  let failed = 0;
  dispatcher.submit<number>({ call: 'sync', fd }, (result) => {
    failed = result;
  });
  while (dispatcher.busy) await dispatcher.change();
  if (failed < 0) throw targetError(pathOfTarget(options), `what was written could not be flushed (${errnoName(failed)})`, options.volume);
}

/** Everything is restored: the marker goes, and the target gets its own metadata, which that would have changed. */
function finishTarget(options: RestoreOptions, root: RestoreRoot, target: Target, tally: Tally): void {
  const result = removeMarker(target.fd);
  if (result < 0)
    throw targetError(pathOfTarget(options), `the marker of the restore could not be removed (${errnoName(result)})`, options.volume);
  const node = 'tree' in root ? root.node : undefined;
  if (node !== undefined && statFd(target.fd, stat) === 0) {
    applyMetadata(target.fd, undefined, metadataOf(node, options), { stat }, (warning) => tally.warn(warning));
  }
  sync(target.fd);
}
