import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Difference, differences, listTree, totals } from '../../scripts/demo/compare.ts';
import { requireRoot, scratch } from '../peers.ts';

const time = 1_700_000_000;

/** A small tree with something of each kind. Times are set where a change of a test would otherwise change them too. */
function makeTree(root: string): void {
  mkdirSync(join(root, 'folder', 'empty'), { recursive: true });
  writeFileSync(join(root, 'folder', 'file'), 'content\n');
  writeFileSync(join(root, 'folder', 'other'), 'content\n');
  writeFileSync(join(root, 'linked'), 'twice\n');
  linkSync(join(root, 'linked'), join(root, 'linked-too'));
  symlinkSync('folder/file', join(root, 'link'));
  lutimesSync(join(root, 'link'), time, time);
  utimesSync(join(root, 'folder', 'file'), time, time);
  settle(root);
}

/** Sets the times of folders, which changes of their entries alter. */
function settle(root: string): void {
  for (const path of ['folder/empty', 'folder', '.']) utimesSync(join(root, path), time, time);
}

/** What the comparison says after a change to the tree. */
function after(t: Parameters<typeof scratch>[0], change: (root: string) => void): Difference[] {
  const root = scratch(t);
  makeTree(root);
  const before = listTree(root);
  change(root);
  return differences(before, listTree(root));
}

test('a tree that nobody touched has no differences', (t) => {
  assert.deepEqual(
    after(t, () => undefined),
    [],
  );
});

test('a missing and an unexpected file are named', (t) => {
  const found = after(t, (root) => {
    renameSync(join(root, 'folder', 'other'), join(root, 'folder', 'renamed'));
    settle(root);
  });
  assert.deepEqual(found, [
    { path: 'folder/other', what: 'missing' },
    { path: 'folder/renamed', what: 'unexpected' },
  ]);
});

test('a missing empty folder is noticed', (t) => {
  const found = after(t, (root) => {
    rmdirSync(join(root, 'folder', 'empty'));
    utimesSync(join(root, 'folder'), time, time);
  });
  assert.deepEqual(found, [{ path: 'folder/empty', what: 'missing' }]);
});

test('other content of the same length at the same time is noticed', (t) => {
  const found = after(t, (root) => {
    const path = join(root, 'folder', 'file');
    writeFileSync(path, readFileSync(path, 'utf8').toUpperCase());
    utimesSync(path, time, time);
  });
  assert.deepEqual(found, [{ path: 'folder/file', what: 'content' }]);
});

test('a byte more is noticed', (t) => {
  const found = after(t, (root) => {
    appendFileSync(join(root, 'folder', 'file'), '\0');
    utimesSync(join(root, 'folder', 'file'), time, time);
  });
  assert.deepEqual(found, [{ path: 'folder/file', what: 'content' }]);
});

test('counters of an SQLite database may differ, nothing else of it', (t) => {
  const database = Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(200)]);
  const changed = (offset: number) => {
    const root = scratch(t);
    writeFileSync(join(root, 'database'), database);
    utimesSync(join(root, 'database'), time, time);
    utimesSync(root, time, time);
    const before = listTree(root);
    writeFileSync(join(root, 'database'), Buffer.from(database).fill(1, offset, offset + 1));
    utimesSync(join(root, 'database'), time, time);
    return differences(before, listTree(root));
  };
  for (const counter of [27, 43, 95]) assert.deepEqual(changed(counter), []);
  for (const other of [28, 96, 150]) assert.deepEqual(changed(other), [{ path: 'database', what: 'content' }]);
});

test('another mode is noticed, setgid too', (t) => {
  assert.deepEqual(
    after(t, (root) => chmodSync(join(root, 'folder', 'file'), 0o600)),
    [{ path: 'folder/file', what: 'mode' }],
  );
  assert.deepEqual(
    after(t, (root) => chmodSync(join(root, 'folder'), 0o2755)),
    [{ path: 'folder', what: 'mode' }],
  );
});

test('a time that differs by a microsecond is noticed', (t) => {
  const found = after(t, (root) => utimesSync(join(root, 'folder', 'file'), time, time + 0.000_001));
  assert.deepEqual(found, [{ path: 'folder/file', what: 'modification time' }]);
});

test('the times of folders, symbolic links and the root itself count', (t) => {
  const found = after(t, (root) => {
    utimesSync(join(root, 'folder', 'empty'), time, time + 1);
    lutimesSync(join(root, 'link'), time, time + 1);
    utimesSync(root, time, time + 1);
  });
  assert.deepEqual(
    found.map(({ path, what }) => `${path}: ${what}`),
    ['.: modification time', 'folder/empty: modification time', 'link: modification time'],
  );
});

test('another target of a symbolic link is noticed', (t) => {
  const found = after(t, (root) => {
    rmSync(join(root, 'link'));
    symlinkSync('folder/none', join(root, 'link'));
    lutimesSync(join(root, 'link'), time, time);
    settle(root);
  });
  assert.deepEqual(found, [{ path: 'link', what: 'content' }]);
});

test('a file in place of a symbolic link is noticed', (t) => {
  const found = after(t, (root) => {
    rmSync(join(root, 'link'));
    writeFileSync(join(root, 'link'), 'folder/file');
    settle(root);
  });
  assert.deepEqual(found, [{ path: 'link', what: 'type' }]);
});

test('a copy in place of a hard link is noticed', (t) => {
  const found = after(t, (root) => {
    const path = join(root, 'linked-too');
    const times = listTree(root).get('linked')?.mtimeNs as bigint;
    rmSync(path);
    writeFileSync(path, 'twice\n');
    // As exact as a number of seconds allows; the time of the copy is not what this test is about.
    utimesSync(path, Number(times) / 1e9, Number(times) / 1e9);
    settle(root);
  });
  assert.ok(found.some(({ path, what }) => path === 'linked-too' && what === 'hard link'));
});

test('another owner is noticed', (t) => {
  if (!requireRoot(t)) return;
  assert.deepEqual(
    after(t, (root) => chownSync(join(root, 'folder', 'file'), 0, 12_345)),
    [{ path: 'folder/file', what: 'owner' }],
  );
});

test('totals count names, and the bytes of a file with two names once', (t) => {
  const root = scratch(t);
  makeTree(root);
  assert.deepEqual(totals(listTree(root)), { files: 4, bytes: 8 + 8 + 6 });
});
