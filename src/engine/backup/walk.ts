/**
 * The main thread's part of reading a volume: it knows which directories are open, hands out work to the lanes in batches, and
 * closes directories from the leaves to the root. Work is taken from the top of a stack, so that few directories are open at a time.
 */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Lane } from '../lanes/pool.ts';
import type { BackupCall, BackupTask, DirectoryTask, FilesTask, FinishTask, SavedFile, TaskResult } from './messages.ts';

/** Directories in one message, at most: enough to make messages cheap, few enough to keep all lanes busy. */
const batchDirectories = 32;
const batchFinishes = 64;
/** Messages on their way to a lane, so that it never waits for the next. */
const callsPerLane = 2;

type Directory = {
  number: number;
  parent: Directory | undefined;
  /** Place among the parent's subdirectories. */
  place: number;
  path: RawString;
  /** The lane that listed it and holds its nodes. */
  lane: number;
  waiting: number;
  subtrees: (BlobId | undefined)[];
  files: SavedFile[];
};

/**
 * Reads a volume into trees and blobs.
 * @returns the root's tree. @throws `volume-unreadable` when the root cannot be listed, and what the lanes throw.
 */
export async function walkVolume(lanes: readonly Lane[], rootTree: BlobId | undefined): Promise<BlobId> {
  return new Walk(lanes).run(rootTree);
}

class Walk {
  private readonly lanes: readonly Lane[];
  private readonly directories = new Map<number, Directory>();
  private readonly stack: DirectoryTask[] = [];
  private readonly files: FilesTask[] = [];
  private readonly finishes: FinishTask[][];
  private numbered = 0;
  private root: BlobId | undefined;
  private finished = false;
  private wakeUps: (() => void)[] = [];

  constructor(lanes: readonly Lane[]) {
    this.lanes = lanes;
    this.finishes = lanes.map(() => []);
  }

  async run(parentTree: BlobId | undefined): Promise<BlobId> {
    this.addDirectory(undefined, 0, '' as RawString, parentTree);
    const loops = this.lanes.flatMap((_, lane) => Array.from({ length: callsPerLane }, () => this.feed(lane)));
    try {
      await Promise.all(loops);
    } finally {
      this.finished = true;
      this.wake();
      await Promise.allSettled(loops);
    }
    if (this.root === undefined) throw new HoldfastError('volume-unreadable', "the volume's root cannot be listed");
    return this.root;
  }

  /** Keeps one message on its way to a lane while there is work. */
  private async feed(lane: number): Promise<void> {
    while (!this.finished) {
      const tasks = this.take(lane);
      if (tasks.length === 0) {
        await new Promise<void>((resolve) => this.wakeUps.push(resolve));
        continue;
      }
      const results = await (this.lanes[lane] as Lane).call<TaskResult[]>({ call: 'tasks', tasks } satisfies BackupCall);
      for (const result of results) this.apply(result, lane);
      this.wake();
    }
  }

  private wake(): void {
    const waiting = this.wakeUps;
    this.wakeUps = [];
    for (const resolve of waiting) resolve();
  }

  /** What a lane does next: trees that are complete, then files that were offered, then directories. */
  private take(lane: number): BackupTask[] {
    const finishes = (this.finishes[lane] as FinishTask[]).splice(0, batchFinishes);
    if (finishes.length > 0) return finishes;
    const files = this.files.pop();
    if (files !== undefined) return [files];
    const share = Math.ceil(this.stack.length / (this.lanes.length * callsPerLane));
    const count = Math.min(batchDirectories, share);
    return count === 0 ? [] : this.stack.splice(this.stack.length - count, count).reverse();
  }

  private addDirectory(parent: Directory | undefined, place: number, path: RawString, parentTree: BlobId | undefined): void {
    const directory = this.numbered++;
    this.directories.set(directory, { number: directory, parent, place, path, lane: -1, waiting: 0, subtrees: [], files: [] });
    this.stack.push({ task: 'directory', directory, path, parentTree });
  }

  private apply(result: TaskResult, lane: number): void {
    const directory = this.directories.get(result.directory) as Directory;
    if (result.result === 'saved') return this.close(directory, result.tree);
    if (result.result === 'gone') return this.close(directory, undefined);
    if (result.result === 'files') {
      directory.files.push(...result.files);
      return this.arrived(directory);
    }
    directory.lane = lane;
    directory.waiting = result.subdirectories.length + result.files.length;
    directory.subtrees = new Array(result.subdirectories.length);
    for (const group of result.files) this.files.push({ task: 'files', directory: result.directory, path: directory.path, ...group });
    for (const [place, { name, parentTree }] of result.subdirectories.entries()) {
      const path = (directory.path === '' ? name : `${directory.path}/${name}`) as RawString;
      this.addDirectory(directory, place, path, parentTree);
    }
  }

  /** A directory is done; with it, perhaps, all that its parent waited for. */
  private close(directory: Directory, tree: BlobId | undefined): void {
    this.directories.delete(directory.number);
    const { parent } = directory;
    if (parent === undefined) {
      this.root = tree;
      this.finished = true;
      return;
    }
    parent.subtrees[directory.place] = tree;
    this.arrived(parent);
  }

  private arrived(directory: Directory): void {
    if (--directory.waiting > 0) return;
    const { number, subtrees, files } = directory;
    (this.finishes[directory.lane] as FinishTask[]).push({ task: 'finish', directory: number, subtrees, files });
  }
}
