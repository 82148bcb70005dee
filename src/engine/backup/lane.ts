/** A lane of a backup: lists directories, reads files, saves trees, and stores the packs that it fills. */
import { createChunker } from '../../format/kernel/chunker.ts';
import { HoldfastError } from '../../model/errors.ts';
import { type RawString, textFromRaw } from '../../model/raw-bytes.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { PackWriter } from '../../repository/pack-writer.ts';
import type { LaneContext, LaneHandler } from '../lanes/protocol.ts';
import { compileExcludes } from '../source/excludes.ts';
import { errnoName } from '../source/posix-constants.ts';
import { close, openDirectoryRoot } from '../source/posix-open.ts';
import { Stat, statFd } from '../source/posix-stat.ts';
import { counterOfLane } from './counters.ts';
import { DirectoryLane } from './directory.ts';
import { createKindCounter } from './kind-counter.ts';
import type { BackupCall, BackupNotice, BackupTask, LaneSettings, TaskResult, VolumeStart } from './messages.ts';
import { createEntryReader } from './read-entry.ts';
import { createFileReader } from './read-file.ts';
import { createBlobSink } from './save-blobs.ts';

const blobIdBytes = 32;

export function createLane(context: LaneContext): LaneHandler {
  const { repository, index } = context;
  const { storage, seal, config } = repository;
  const settings = context.settings as LaneSettings;
  const notify = (notice: BackupNotice) => context.notify(notice);
  const stop = new Int32Array(settings.stop);
  const stopped = () => Atomics.load(stop, 0) !== 0;
  const blobs = createBlobReader({ storage, seal, index, windows: 4, reuse: true });
  const chunker = createChunker(config.chunkerPolynomial);
  const writer = settings.dryRun
    ? undefined
    : new PackWriter({
        storage,
        seal,
        formatVersion: config.version,
        level: settings.compressionLevel,
        onStored: (pack) => notify({ notice: 'stored', pack }),
      });

  let rootFd = -1;
  let kinds = createKindCounter();
  let directories: DirectoryLane | undefined;

  function startVolume(lane: number, volume: VolumeStart): void {
    if (rootFd >= 0) close(rootFd);
    rootFd = openDirectoryRoot(volume.root);
    const stat = new Stat();
    if (rootFd < 0 || statFd(rootFd, stat) < 0) {
      throw new HoldfastError('volume-missing', `cannot open ${textFromRaw(volume.root)}: ${errnoName(-rootFd)}`);
    }
    const count = counterOfLane(settings.counters, lane);
    kinds = createKindCounter();
    const sink = createBlobSink(index, writer, count);
    const reader = createFileReader({ chunker, sink, onBytes: (bytes) => count('totalBytesProcessed', bytes), stopped });
    const warn = (warning: string) => notify({ notice: 'warning', warning });
    let here = '' as RawString;
    const pathOf = (name: RawString) => (here === '' ? name : `${here}/${name}`) as RawString;
    const entries = createEntryReader({
      reader,
      count,
      withAtime: volume.withAtime,
      changes: volume.changes,
      substituteOf: (name) => volume.substitutes?.get(pathOf(name)),
      onProblem: (name, problem, message) => notify({ notice: 'problem', path: pathOf(name), problem, message }),
      onWarning: (warning) => {
        count('unreadableAttributes', 1);
        warn(warning);
      },
    });
    directories = new DirectoryLane({
      root: { fd: rootFd, device: stat.device },
      volume,
      excludes: compileExcludes(volume.excludes),
      index,
      blobs,
      sink,
      entries,
      count,
      kinds,
      enter: (path) => {
        here = path;
      },
      problem: (path, problem, message) => notify({ notice: 'problem', path, problem, message }),
      warn,
    });
  }

  async function carryOut(task: BackupTask): Promise<TaskResult> {
    if (stopped()) throw new HoldfastError('interrupted', 'interrupted');
    if (directories === undefined) throw new HoldfastError('internal', 'a lane got work before its volume');
    if (task.task === 'directory') return directories.list(task);
    if (task.task === 'files') return directories.readFiles(task.directory, task.path, task.names, task.slots);
    return directories.finish(task);
  }

  /** What the main thread reads from a stream. */
  async function saveBlobs(lane: number, memory: SharedArrayBuffer, lengths: readonly number[]): Promise<Buffer> {
    const sink = createBlobSink(index, writer, counterOfLane(settings.counters, lane));
    const ids = Buffer.alloc(lengths.length * blobIdBytes);
    let at = 0;
    for (const [i, length] of lengths.entries()) {
      if (stopped()) throw new HoldfastError('interrupted', 'interrupted');
      ids.write(sink.save('data', Buffer.from(memory, at, length)), i * blobIdBytes, 'hex');
      at += length;
      if (sink.full) await sink.settle();
    }
    return ids;
  }

  return async (message) => {
    const call = message as BackupCall;
    if (call.call === 'blobs') return saveBlobs(call.lane, call.memory, call.lengths);
    if (call.call === 'volume') return startVolume(call.lane, call.volume);
    if (call.call === 'kinds') return kinds.take();
    if (call.call === 'drain') return (await writer?.drain()) ?? [];
    const results: TaskResult[] = [];
    for (const task of call.tasks) results.push(await carryOut(task));
    return results;
  };
}
