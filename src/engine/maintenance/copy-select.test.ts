import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId, SnapshotId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { copyOf, createCopyFinder } from './copy-select.ts';

const id = (digit: string) => digit.repeat(64) as SnapshotId;

const snapshot = (changes: Partial<StoredSnapshot>): StoredSnapshot => ({
  id: id('a'),
  time: '2026-01-01T12:00:00.5Z',
  parent: undefined,
  tree: '1'.repeat(64) as BlobId,
  paths: ['/data'],
  hostname: 'host',
  username: 'root',
  uid: 0,
  gid: 0,
  excludes: [],
  tags: ['one'],
  original: undefined,
  programVersion: 'x',
  summary: undefined,
  root: undefined,
  unknown: undefined,
  ...changes,
});

test('a copy remembers where it came from, over several repositories', () => {
  const first = snapshot({ parent: id('b'), unknown: { later: 1 } });
  const copy = copyOf(first);
  assert.deepEqual([copy.original, copy.parent, copy.unknown], [first.id, undefined, { later: 1 }]);
  assert.ok(!('id' in copy));
  assert.equal(copyOf({ ...copy, id: id('c') }).original, first.id);
});

test('what is there already is found: the snapshot itself, its copy, a copy of its copy, what it is a copy of', () => {
  const first = snapshot({});
  const copy = { ...copyOf(first), id: id('c') };
  const copyOfCopy = { ...copyOf(copy), id: id('d') };
  for (const [source, there] of [
    [first, first],
    [first, copy],
    [first, copyOfCopy],
    [copyOfCopy, first],
    [copyOfCopy, copy],
  ] as const) {
    assert.equal(createCopyFinder([there])(source), there);
  }
  assert.equal(createCopyFinder([{ ...copy, time: '2026-01-01T13:00:00.5+01:00', parent: id('e') }])(first)?.id, copy.id);
});

test('a copy whose fields were changed is another snapshot', () => {
  const first = snapshot({});
  for (const changes of [
    { tags: ['one', 'two'] },
    { tags: [] },
    { hostname: 'other' },
    { tree: '2'.repeat(64) as BlobId },
    { time: '2026-01-01T12:00:00.25Z' },
    { paths: ['/data', '/more'] },
    { excludes: ['x'] },
    { uid: 1 },
  ]) {
    assert.equal(createCopyFinder([{ ...copyOf(first), id: id('c'), ...changes }])(first), undefined, JSON.stringify(changes));
  }
  assert.equal(createCopyFinder([snapshot({ id: id('f') })])(first), undefined, 'of another origin');
});
