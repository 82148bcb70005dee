import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fc, runs } from '../../test/properties.ts';
import { HoldfastError } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { parseSnapshotId } from '../model/ids.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot-file.ts';
import { decodeTree } from './tree.ts';

/** Snapshot and tree files as restic 0.19.1 wrote them. */
const vector = (name: string): Buffer => readFileSync(new URL(`../../test/vectors/fixtures/${name}-restic-0.19.1.json`, import.meta.url));
const id = parseSnapshotId('0'.repeat(64)) as SnapshotId;

test("restic 0.19.1's snapshots are read, and reproduced", () => {
  const first = decodeSnapshot(vector('snapshot'), id);
  assert.equal(first.hostname, 'h\\1');
  assert.deepEqual(first.tags, ['a<b>&"c', 'volume=tést']);
  assert.deepEqual(first.excludes, ['*.nope']);
  assert.equal(first.parent, undefined);
  assert.equal(first.programVersion, 'restic 0.19.1');
  assert.equal(first.summary?.filesNew, 75);
  assert.equal(first.unknown, undefined);
  for (const name of ['snapshot', 'snapshot-with-parent']) {
    assert.equal(encodeSnapshot(decodeSnapshot(vector(name), id)).toString(), vector(name).toString());
  }
  assert.equal(decodeSnapshot(vector('snapshot-with-parent'), id).parent?.slice(0, 8), 'fd8db313');
});

test('a root, unknown fields and numeric owners survive', () => {
  const [root] = decodeTree(vector('tree'));
  const snapshot = {
    ...decodeSnapshot(vector('snapshot'), id),
    uid: 1000,
    gid: 4294967295,
    original: id,
    root,
    problems: 3,
    kinds: '=1 txt=2 ?=3',
    incompressibleBytes: 0,
    unknown: { label: 'l<', delete: 'never', summary: { command: 'rustic backup', total_duration: 1.25 } },
  };
  assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot), id), snapshot);
  const json = encodeSnapshot(snapshot).toString();
  assert.match(
    json,
    /"total_bytes_processed":\d+,"command":"rustic backup","total_duration":1.25\},"holdfast_root":\{.*\},"holdfast_problems":3,"holdfast_kinds":"=1 txt=2 \?=3","holdfast_incompressible":0,"label":"l\\u003c","delete":"never"\}$/,
  );
});

test('a snapshot of an old version has few fields', () => {
  const snapshot = decodeSnapshot(Buffer.from(`{"time":"2015-01-02T03:04:05+01:00","tree":"${id}","paths":null}`), id);
  assert.deepEqual([snapshot.paths, snapshot.tags, snapshot.hostname, snapshot.summary, snapshot.root], [[], [], '', undefined, undefined]);
});

test('fields that are empty are as if they were not there', () => {
  const snapshot = decodeSnapshot(
    Buffer.from(`{"time":"2015-01-02T03:04:05Z","tree":"${id}","paths":[],"holdfast_kinds":"","tags":[]}`),
    id,
  );
  assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot), id), snapshot);
});

test('what is not a snapshot is damaged', () => {
  const good = JSON.parse(vector('snapshot').toString());
  const field = fc.constantFrom(
    ...Object.keys(good),
    'parent',
    'holdfast_root',
    'holdfast_problems',
    'holdfast_kinds',
    'holdfast_incompressible',
    'uid',
    'original',
  );
  fc.assert(
    fc.property(field, fc.jsonValue({ maxDepth: 1 }), (key, value) => {
      try {
        const snapshot = decodeSnapshot(Buffer.from(JSON.stringify({ ...good, [key]: value })), id);
        assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot), id), snapshot);
      } catch (error) {
        assert.ok(error instanceof HoldfastError && error.code === 'damaged', String(error));
      }
    }),
    { numRuns: runs(1000) },
  );
  for (const change of [
    { tree: null },
    { tree: 'x' },
    { time: 'x' },
    { parent: 'x' },
    { tags: [1] },
    { tags: {} },
    { uid: -1 },
    { summary: 1 },
  ]) {
    assert.throws(
      () => decodeSnapshot(Buffer.from(JSON.stringify({ ...good, ...change })), id),
      /^HoldfastError: snapshot 0{64}: /,
      JSON.stringify(change),
    );
  }
  assert.throws(() => decodeSnapshot(Buffer.from(JSON.stringify({ ...good, holdfast_root: { name: '../x' } })), id), {
    code: 'unsafe-name',
  });
  assert.throws(() => decodeSnapshot(vector('snapshot').subarray(1), id), { code: 'damaged' });
});
