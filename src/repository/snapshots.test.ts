import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchRepository } from '../../test/scratch-repository.ts';
import type { BlobId } from '../model/ids.ts';
import { type Snapshot, tagsFromIdentity } from '../model/snapshot.ts';
import { writeSealedJson } from './repository.ts';
import { findById, listSnapshots, ofVolume, readSnapshot, saveSnapshot, snapshotTimeMs } from './snapshots.ts';

function snapshot(time: string, volume = 'v', project = 'p'): Snapshot {
  return {
    time,
    parent: undefined,
    tree: 'ab'.repeat(32) as BlobId,
    paths: ['/data'],
    hostname: 'host',
    username: 'user',
    uid: 1000,
    gid: 1000,
    excludes: [],
    tags: ['extra', ...tagsFromIdentity({ project, volume, run: 'r', class: 'manual', consistency: 'crash' })],
    original: undefined,
    programVersion: 'test',
    summary: undefined,
    root: undefined,
    unknown: { later_field: { a: [1] } },
  };
}

test('what is saved is read back, with fields of the future', async (t) => {
  const repository = await scratchRepository(t);
  const saved = snapshot('2024-01-01T00:00:00.123456789Z');
  const id = await saveSnapshot(repository, saved);
  assert.deepEqual(await readSnapshot(repository, id), { ...saved, id });
});

test('the list is in order of the instants, whatever the zones', async (t) => {
  const repository = await scratchRepository(t);
  assert.deepEqual(await listSnapshots(repository), []);
  const times = [
    '2024-01-01T00:00:00.5Z',
    '2024-01-01T02:00:00+01:00',
    '2024-01-01T00:00:00.499999Z',
    '2023-12-31T23:00:00-02:00',
    '2023-12-31T23:59:59.9Z',
  ];
  for (const time of times) await saveSnapshot(repository, snapshot(time));
  const listed = (await listSnapshots(repository)).map(({ time }) => time);
  assert.deepEqual(listed, [times[4], times[2], times[0], ...listed.slice(3)]);
  assert.deepEqual(new Set(listed.slice(3)), new Set([times[1], times[3]]));
  assert.equal(snapshotTimeMs(snapshot('1970-01-01T00:00:01.25Z')), 1250);
});

test('snapshots of a volume are found by identity, not by host or path', async (t) => {
  const repository = await scratchRepository(t);
  const id = await saveSnapshot(repository, { ...snapshot('2024-01-01T00:00:00Z', 'a'), hostname: 'elsewhere', paths: ['/other'] });
  await saveSnapshot(repository, snapshot('2024-01-02T00:00:00Z', 'b'));
  await saveSnapshot(repository, snapshot('2024-01-03T00:00:00Z', 'a', 'another-project'));
  await saveSnapshot(repository, { ...snapshot('2024-01-04T00:00:00Z'), tags: [] });
  assert.deepEqual(
    ofVolume(await listSnapshots(repository), 'p', 'a').map((found) => found.id),
    [id],
  );
});

test('by id: exact, by its beginning, unknown and ambiguous', async (t) => {
  const repository = await scratchRepository(t);
  for (let day = 1; day <= 20; day++) await saveSnapshot(repository, snapshot(`2024-01-${String(day).padStart(2, '0')}T00:00:00Z`));
  const all = await listSnapshots(repository);
  for (const one of all) assert.equal(findById(all, one.id), one);
  const [first] = all;
  assert.equal(findById(all, first?.id.slice(0, 16) ?? ''), first);
  assert.throws(() => findById(all, 'zz'), { code: 'snapshot-missing' });
  // Twenty ids have sixteen first characters: two of them share one.
  assert.throws(
    () => {
      for (const digit of '0123456789abcdef') if (all.filter(({ id }) => id.startsWith(digit)).length > 1) findById(all, digit);
    },
    { code: 'snapshot-ambiguous' },
  );
});

test('a damaged snapshot is an error, or handed over when somebody asks for it', async (t) => {
  const repository = await scratchRepository(t);
  const good = await saveSnapshot(repository, snapshot('2024-01-01T00:00:00Z'));
  const bad = await writeSealedJson(repository, 'snapshots', Buffer.from('{"tree":7}'));
  await assert.rejects(listSnapshots(repository), { code: 'damaged' });
  const damaged: string[] = [];
  const listed = await listSnapshots(repository, (name) => damaged.push(name));
  assert.deepEqual([listed.map(({ id }) => id), damaged], [[good], [bad]]);
});
