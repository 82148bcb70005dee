import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../control/configuration/configuration.ts';
import { type ErrorCode, HoldfastError } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { type StoredSnapshot, tagsFromIdentity } from '../model/snapshot.ts';
import { chooseSnapshots, type SnapshotRequest, volumeNameOf } from './choose-snapshots.ts';

const own = (id: string, run: string, volume: string, time: string, project = 'p'): StoredSnapshot =>
  ({
    id: id.padEnd(64, '0') as SnapshotId,
    time,
    paths: ['/mnt/somewhere'],
    tags: tagsFromIdentity({ project, volume, run, class: 'manual', consistency: 'crash' }),
  }) as unknown as StoredSnapshot;
const foreign = (id: string, path: string, time: string): StoredSnapshot =>
  ({ id: id.padEnd(64, '0') as SnapshotId, time, paths: [path], tags: [] }) as unknown as StoredSnapshot;

const snapshots = [
  own('aaaa1', '20240101T000000Z-000001', 'data', '2024-01-01T00:00:00Z'),
  own('aaaa2', '20240101T000000Z-000001', 'cache', '2024-01-01T00:00:01Z'),
  own('bbbb1', '20240102T000000Z-000002', 'data', '2024-01-02T00:00:00Z'),
  foreign('cccc1', '/srv/www', '2024-01-03T00:00:00Z'),
  foreign('20241', '/srv/www', '2024-01-04T00:00:00Z'),
];
const configuration = { project: 'p', volumes: [{ name: 'data' }, { name: 'cache' }] } as unknown as Configuration;

const choose = (request: Partial<SnapshotRequest>): string[] =>
  chooseSnapshots({ snapshots, configuration, volumes: [], at: undefined, now: new Date('2024-02-01T00:00:00Z'), ...request }).map(
    ({ volume, snapshot, fromEarlierPoint }) => `${volume} ${snapshot.id.slice(0, 5)}${fromEarlierPoint ? ' earlier' : ''}`,
  );
const refused = (request: Partial<SnapshotRequest>, code: ErrorCode) =>
  assert.throws(
    () => choose(request),
    (error) => error instanceof HoldfastError && error.code === code,
    JSON.stringify(request.at),
  );

test('without a project too, a damaged snapshot goes before the repaired one, which its id means', () => {
  const damaged = snapshots[3] as StoredSnapshot;
  const repaired = { ...damaged, id: 'dddd1'.padEnd(64, '0') as SnapshotId, tags: ['repaired'], original: damaged.id };
  const both = { snapshots: [damaged, repaired], configuration: undefined };
  assert.deepEqual(choose(both), ['www cccc1']);
  assert.deepEqual(choose({ ...both, at: 'dddd1' }), ['www dddd1']);
  assert.deepEqual(choose({ snapshots: [repaired], configuration: undefined }), ['www dddd1']);
});

test('of a project: the latest, at a time, at a run, one by its id', () => {
  assert.deepEqual(choose({}), ['data bbbb1', 'cache aaaa2 earlier']);
  assert.deepEqual(choose({ at: 'latest', volumes: ['cache'] }), ['cache aaaa2']);
  assert.deepEqual(choose({ at: '2024-01-01T12:00:00Z' }), ['data aaaa1', 'cache aaaa2']);
  assert.deepEqual(choose({ at: '20240101T000000Z-000001' }), ['data aaaa1', 'cache aaaa2']);
  assert.deepEqual(choose({ at: 'aaaa1' }), ['data aaaa1']);
  assert.deepEqual(choose({ at: 'aaaa2', volumes: ['cache'] }), ['cache aaaa2']);
});

test('what fits nothing, or too much, is refused', () => {
  refused({ at: 'aaaa' }, 'snapshot-ambiguous');
  refused({ at: 'dead00' }, 'snapshot-missing');
  refused({ at: 'aaaa1', volumes: ['cache'] }, 'usage');
  refused({ at: 'aaaa1', volumes: ['data', 'cache'] }, 'usage');
  refused({ at: '2023-01-01T00:00:00Z' }, 'snapshot-missing');
  refused({ at: 'the day before the flood' }, 'snapshot-missing');
  refused({ volumes: ['unknown'] }, 'snapshot-missing');
});

test('any repository: each volume and each path has its newest', () => {
  const anywhere = { configuration: undefined };
  assert.deepEqual(choose(anywhere), ['data bbbb1', 'cache aaaa2', 'www 20241']);
  assert.deepEqual(choose({ ...anywhere, at: '2024-01-03T12:00:00Z', volumes: ['www'] }), ['www cccc1']);
  assert.deepEqual(choose({ ...anywhere, at: '20241' }), ['www 20241']);
  refused({ ...anywhere, volumes: ['www', 'unknown'] }, 'snapshot-missing');
  refused({ ...anywhere, snapshots: [] }, 'snapshot-missing');
  const two = [...snapshots, own('eeee1', 'r', 'data', '2024-01-05T00:00:00Z', 'another')];
  refused({ ...anywhere, snapshots: two }, 'snapshot-ambiguous');
  assert.deepEqual(choose({ ...anywhere, snapshots: two, volumes: ['cache'] }), ['cache aaaa2']);
});

test('a snapshot of another program is named by the last part of its path', () => {
  const named = (...paths: string[]) => volumeNameOf({ ...foreign('1', '', ''), paths });
  assert.deepEqual([named('/srv/www'), named('/srv/www/'), named('/'), named()], ['www', 'www', 'snapshot', 'snapshot']);
});
