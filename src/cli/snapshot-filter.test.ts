import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SnapshotId } from '../model/ids.ts';
import { type StoredSnapshot, tagsFromIdentity } from '../model/snapshot.ts';
import type { Output } from './output/output.ts';
import { filterOf, snapshotsOfIds, warnOfNone } from './snapshot-filter.ts';

const identity = { project: 'p', volume: 'data', run: 'r', class: 'manual', consistency: 'crash' } as const;
const snapshot = (id: string, path: string, tags: string[]): StoredSnapshot =>
  ({ id: id.padEnd(64, '0') as SnapshotId, time: '2024-01-01T00:00:00Z', hostname: 'h', paths: [path], tags }) as unknown as StoredSnapshot;
const own = snapshot('1abc', '/mnt', tagsFromIdentity(identity));
const foreign = snapshot('2def', '/srv/www', ['weekly']);
const all = [own, foreign];

test('a number that slipped in is not the id of a snapshot, though one begins with it', () => {
  for (const text of ['1', '12', '1ab']) assert.throws(() => snapshotsOfIds(all, [text]), { code: 'snapshot-missing' }, text);
  assert.deepEqual(snapshotsOfIds(all, ['1abc', own.id]), [own]);
});

test('--volume means snapshots of other tools by the name that listings give them', () => {
  assert.deepEqual(all.filter(filterOf({ volume: ['www'] }, undefined, '/')), [foreign]);
  assert.deepEqual(all.filter(filterOf({ volume: ['data'] }, undefined, '/')), [own]);
});

test('a filter that nothing passes is told of, and nothing else is', () => {
  const warnings: string[] = [];
  const output = { warning: (text: string) => warnings.push(text) } as unknown as Output;
  warnOfNone(output, { volume: ['dta'], tag: ['a', 'b\u001b'] }, []);
  warnOfNone(output, { volume: ['data'] }, [own]);
  warnOfNone(output, { all: true }, []);
  assert.deepEqual(warnings, ['no snapshots match --volume dta --tag a --tag b\\x1b']);
});
