import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { Lane } from '../lanes/pool.ts';
import type { BackupCall, BackupTask, TaskResult } from './messages.ts';
import { walkVolume } from './walk.ts';

/** A directory of a pretended volume: files that are read while it is listed, files for other lanes, subdirectories. */
type Folder = { deferred: number; below: Record<string, Folder> };

/** The id that a directory's tree has: that of all that is in it, by whichever lane. */
const idOf = (deferred: readonly string[], subtrees: readonly (string | undefined)[]): BlobId =>
  sha256Hex(Buffer.from(JSON.stringify([[...deferred].sort(), subtrees]))) as BlobId;

const expected = (folder: Folder, path: string): BlobId =>
  idOf(
    Array.from({ length: folder.deferred }, (_, i) => `${path}:${i}`),
    Object.entries(folder.below).map(([name, below]) => expected(below, path === '' ? name : `${path}/${name}`)),
  );

function folderAt(root: Folder, path: string): Folder {
  let folder = root;
  for (const name of path.split('/').filter(Boolean)) folder = folder.below[name] as Folder;
  return folder;
}

type Watch = { mostOpen: number; largestBatch: number; calls: number };

/** Lanes that answer in an order of their own. A lane knows only the directories that it has listed. */
function pretendedLanes(
  root: Folder,
  count: number,
  orders: () => number,
  watch: Watch,
  onTask: (task: BackupTask) => void = () => undefined,
): Lane[] {
  let open = 0;
  return Array.from({ length: count }, () => {
    const listed = new Map<number, string>();
    const carryOut = (task: BackupTask): TaskResult => {
      onTask(task);
      const { directory } = task;
      if (task.task === 'files') {
        return {
          result: 'files',
          directory,
          files: task.names.map((name, i) => ({ slot: task.slots[i] as number, node: { name } as never })),
        };
      }
      if (task.task === 'finish') {
        const path = listed.get(directory);
        assert.ok(path !== undefined, 'a directory must be finished by the lane that listed it');
        listed.delete(directory);
        open--;
        assert.equal(task.files.length, folderAt(root, path).deferred);
        return {
          result: 'saved',
          directory,
          tree: idOf(
            task.files.map(({ node }) => node?.name as string),
            task.subtrees,
          ),
        };
      }
      const folder = folderAt(root, task.path);
      if (folder.deferred === 0 && Object.keys(folder.below).length === 0) return { result: 'saved', directory, tree: idOf([], []) };
      listed.set(directory, task.path);
      watch.mostOpen = Math.max(watch.mostOpen, ++open);
      const names = Array.from({ length: folder.deferred }, (_, i) => `${task.path}:${i}` as RawString);
      const files = [names.slice(0, 2), names.slice(2)]
        .filter((group) => group.length > 0)
        .map((group) => ({ names: group, slots: group.map((_, i) => i) }));
      return {
        result: 'listed',
        directory,
        files,
        subdirectories: Object.keys(folder.below).map((name) => ({ name: name as RawString, parentTree: undefined })),
      };
    };
    return {
      async call<Reply>(message: unknown): Promise<Reply> {
        const { tasks } = message as BackupCall & { call: 'tasks' };
        watch.calls++;
        watch.largestBatch = Math.max(watch.largestBatch, tasks.length);
        for (let turns = orders(); turns > 0; turns--) await Promise.resolve();
        return tasks.map(carryOut) as Reply;
      },
    };
  });
}

const newWatch = (): Watch => ({ mostOpen: 0, largestBatch: 0, calls: 0 });

/** Directories of so many levels at most. */
const folderOf = (levels: number): fc.Arbitrary<Folder> =>
  fc.record({
    deferred: fc.nat(4),
    below: levels === 0 ? fc.constant({}) : fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), folderOf(levels - 1), { maxKeys: 4 }),
  });

test('whatever the order of the answers, every directory is closed once with all that is in it', async () => {
  const property = fc.asyncProperty(
    folderOf(4),
    fc.integer({ min: 1, max: 4 }),
    fc.infiniteStream(fc.nat(9)),
    async (root, count, stream) => {
      const lanes = pretendedLanes(root, count, () => stream.next().value as number, newWatch());
      assert.equal(await walkVolume(lanes, undefined), expected(root, ''));
    },
  );
  await fc.assert(property, { numRuns: runs(200) });
});

const nested = (levels: number, width: number): Folder => ({
  deferred: 0,
  below: levels === 0 ? {} : Object.fromEntries(Array.from({ length: width }, (_, i) => [`d${i}`, nested(levels - 1, width)])),
});

test('few directories are open at a time, and messages carry many but not too many', async () => {
  const root = nested(5, 6);
  const watch = newWatch();
  assert.equal(
    await walkVolume(
      pretendedLanes(root, 2, () => 1, watch),
      undefined,
    ),
    expected(root, ''),
  );
  // 9331 directories, of which 1555 have others below them.
  assert.ok(watch.mostOpen < 700, `${watch.mostOpen} open`);
  assert.ok(watch.largestBatch <= 64);
  assert.ok(watch.calls < 5000, `${watch.calls} messages`);
});

test("the root's parent tree goes to the lane that lists it", async () => {
  const parent = 'cd'.repeat(32) as BlobId;
  const seen: unknown[] = [];
  await walkVolume(
    pretendedLanes(
      nested(0, 0),
      1,
      () => 0,
      newWatch(),
      (task) => seen.push(task),
    ),
    parent,
  );
  assert.deepEqual(seen, [{ task: 'directory', directory: 0, path: '', parentTree: parent }]);
});

test('a directory that is gone leaves its place empty; a root that is gone is an error', async () => {
  const gone = (path: string): Lane => ({
    async call<Reply>(message: unknown) {
      const { tasks } = message as BackupCall & { call: 'tasks' };
      return tasks.map((task): TaskResult => {
        const { directory } = task;
        if (task.task === 'finish') return { result: 'saved', directory, tree: idOf([], task.subtrees) };
        if (task.task === 'directory' && task.path === path) return { result: 'gone', directory };
        if (task.task === 'directory' && task.path !== '') return { result: 'saved', directory, tree: idOf([], []) };
        const subdirectories = ['a', 'b'].map((name) => ({ name: name as RawString, parentTree: undefined }));
        return { result: 'listed', directory, files: [], subdirectories };
      }) as Reply;
    },
  });
  assert.equal(await walkVolume([gone('a')], undefined), idOf([], [undefined, idOf([], [])]));
  await assert.rejects(walkVolume([gone('')], undefined), (error) => error instanceof HoldfastError && error.code === 'volume-unreadable');
});

test('the failure of one lane ends the walk with that failure', { timeout: 10_000 }, async () => {
  const root = nested(3, 5);
  let tasks = 0;
  const lanes = pretendedLanes(
    root,
    3,
    () => 2,
    newWatch(),
    () => {
      if (++tasks === 40) throw new HoldfastError('storage-full', 'full');
    },
  );
  await assert.rejects(walkVolume(lanes, undefined), (error) => error instanceof HoldfastError && error.code === 'storage-full');
});
