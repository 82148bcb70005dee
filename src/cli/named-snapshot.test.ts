import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { type StoredSnapshot, tagsFromIdentity } from '../model/snapshot.ts';
import { findNamedSnapshot, type NamingContext, relativePath } from './named-snapshot.ts';

const own = (id: string, volume: string, time: string): StoredSnapshot =>
  ({
    id: id.padEnd(64, '0') as SnapshotId,
    time,
    paths: ['/mnt/somewhere'],
    tags: tagsFromIdentity({ project: 'p', volume, run: `run of ${time}`, class: 'manual', consistency: 'crash' }),
  }) as unknown as StoredSnapshot;

const snapshots = [
  own('aaaa1', 'data', '2024-01-01T00:00:00Z'),
  own('aaaa2', 'cache', '2024-01-01T00:00:00Z'),
  own('bbbb1', 'data', '2024-01-02T00:00:00Z'),
];
const configuration = { project: 'p', volumes: [{ name: 'data' }, { name: 'cache' }] } as unknown as Configuration;

const context = (more: Partial<NamingContext>): NamingContext => ({
  snapshots,
  configuration,
  volume: undefined,
  now: new Date('2024-02-01T00:00:00Z'),
  ...more,
});
const find = (text: string, more: Partial<NamingContext> = {}): string => {
  const { snapshot, volume, path } = findNamedSnapshot(text, context(more));
  return `${snapshot.id.slice(0, 5)} ${volume} ${path}`;
};
const refused = (text: string, code: ErrorCode, more: Partial<NamingContext> = {}) =>
  assert.throws(() => findNamedSnapshot(text, context(more)), { code }, text);

test('ids, volumes, times and latest', () => {
  assert.equal(find('aaaa2'), 'aaaa2 cache ');
  assert.equal(find('data'), 'bbbb1 data ');
  assert.equal(find('data', { at: '2024-01-01T12:00:00Z' }), 'aaaa1 data ');
  assert.equal(find('2024-01-01T12:00:00Z', { volume: 'data' }), 'aaaa1 data ');
  assert.equal(find('run of 2024-01-01T00:00:00Z', { volume: 'cache' }), 'aaaa2 cache ');
  assert.equal(find('latest', { volume: 'data' }), 'bbbb1 data ');
  assert.equal(find('latest', { snapshots: snapshots.slice(2), configuration: undefined }), 'bbbb1 data ');
});

test('a path behind a colon, and colons in times', () => {
  assert.equal(find('bbbb1:/a//b/'), 'bbbb1 data a/b');
  assert.equal(find('data:x:y'), 'bbbb1 data x:y');
  assert.equal(find('latest:./é', { volume: 'data' }), `bbbb1 data ${relativePath('é')}`);
  assert.equal(relativePath('é'), '\xc3\xa9');
});

test('what is not clear, or not there', () => {
  refused('latest', 'snapshot-ambiguous');
  refused('2024-01-01T12:00:00Z', 'snapshot-ambiguous');
  refused('data', 'usage', { volume: 'cache' });
  refused('aaaa', 'snapshot-ambiguous');
  refused('nothing', 'snapshot-missing', { volume: 'data' });
  refused('2023-01-01', 'snapshot-missing', { volume: 'data' });
  refused('2025-01-01', 'usage', { volume: 'data' });
});
