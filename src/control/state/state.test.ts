import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import type { Job } from '../jobs/job.ts';
import { createEvidenceTable, type SnapshotEvidence } from './evidence-table.ts';
import { createJobTable } from './job-table.ts';
import { createAuditLog, createFacts, createUsageTable } from './log-tables.ts';
import { openState } from './state.ts';

function withFolder(work: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
  try {
    work(join(folder, 'deep', 'state.sqlite'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const job = (id: string, more: Partial<Job> = {}): Job => ({
  id,
  spec: { kind: 'usage' },
  state: 'queued',
  priority: 5,
  schedule: undefined,
  dueMs: undefined,
  startedBy: 'schedule',
  queuedMs: Number(id),
  notBeforeMs: 0,
  deadlineMs: 1,
  startedMs: undefined,
  endedMs: undefined,
  attempt: 1,
  attempts: 1,
  process: undefined,
  exitCode: undefined,
  error: undefined,
  result: undefined,
  ...more,
});

test('what was told is there after opening it again, and only its owner can read it', () => {
  withFolder((path) => {
    const first = openState(path);
    createJobTable(first).add(job('1'));
    createFacts(first).set('mark', { at: 1 });
    first.close();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const second = openState(path);
    assert.equal(second.replaced, undefined);
    assert.equal(createJobTable(second).get('1')?.id, '1');
    assert.deepEqual(createFacts(second).get('mark'), { at: 1 });
    second.close();
  });
});

for (const [damage, spoil] of Object.entries({
  'not a database': (path: string) => writeFileSync(path, 'no database at all, but long enough to be looked at'),
  'pages overwritten': (path: string) => {
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 4096, 20_480);
    writeFileSync(path, bytes);
  },
  'of a newer version': (path: string) => {
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 999');
    database.close();
  },
})) {
  test(`a state that is ${damage} is put aside, and a new one made`, () => {
    withFolder((path) => {
      const before = openState(path);
      createJobTable(before).add(job('1'));
      before.close();
      spoil(path);
      const state = openState(path);
      assert.match(state.replaced ?? '', /state\.sqlite\.damaged-/);
      assert.deepEqual(createJobTable(state).open(), []);
      createJobTable(state).add(job('2'));
      state.close();
      assert.equal(readdirSync(join(path, '..')).filter((name) => name.includes('.damaged-') && !/-(wal|shm)$/.test(name)).length, 1);
    });
  });
}

test('the job of a schedule and an instant exists once', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    assert.equal(jobs.add(job('1', { schedule: 'hourly', dueMs: 3_600_000 })), true);
    assert.equal(jobs.add(job('2', { schedule: 'hourly', dueMs: 3_600_000 })), false);
    assert.equal(jobs.add(job('3', { schedule: 'hourly', dueMs: 7_200_000 })), true);
    assert.equal(jobs.lastDueMs('hourly', 9_000_000), 7_200_000);
    assert.equal(jobs.lastDueMs('hourly', 7_000_000), 3_600_000);
    assert.equal(jobs.lastDueMs('daily', 9_000_000), undefined);
    state.close();
  });
});

test('jobs are listed newest first, by page and by what is asked for', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    for (let id = 1; id <= 9; id++)
      jobs.add(job(String(id), id % 3 === 0 ? { spec: { kind: 'drill', repository: 'local', volumes: ['a'] } } : {}));
    const ids = (list: Job[]) => list.map(({ id }) => id);
    assert.deepEqual(ids(jobs.list({}, { limit: 3 })), ['9', '8', '7']);
    assert.deepEqual(ids(jobs.list({}, { limit: 3, before: '7' })), ['6', '5', '4']);
    assert.deepEqual(ids(jobs.list({ kind: 'drill' }, { limit: 9 })), ['9', '6', '3']);
    assert.deepEqual(ids(jobs.list({ kind: 'drill', volume: 'b' }, { limit: 9 })), []);
    jobs.update(job('9', { spec: { kind: 'drill', repository: 'local' }, state: 'succeeded', endedMs: 5 }));
    assert.deepEqual(ids(jobs.list({ state: 'succeeded' }, { limit: 9 })), ['9']);
    assert.equal(jobs.open().length, 8);
    assert.equal(jobs.lastEnded('drill', ['succeeded'])?.id, '9');
    assert.equal(jobs.lastEnded('drill', ['failed']), undefined);
    state.close();
  });
});

test('what comes often does not hide the last of what is rare, or was asked for', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    const add = (id: string, schedule?: string) =>
      jobs.add(job(id, { schedule, dueMs: schedule && Number(id), state: 'succeeded' } as never));
    add('100', 'daily');
    add('101');
    for (let id = 102; id < 200; id++) add(String(id), 'hourly');
    assert.deepEqual(
      jobs.states('usage', 2).map(({ id }) => id),
      ['199', '198', '101', '100'],
    );
    state.close();
  });
});

test('room that old jobs leave is given back', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    jobs.add(job('1', { state: 'succeeded', endedMs: 1 }));
    jobs.log(
      '1',
      Array.from({ length: 500 }, () => ({ atMs: 1, line: 'x'.repeat(1_000) })),
    );
    const full = state.bytes();
    jobs.removeLogs(2);
    state.database.exec('PRAGMA incremental_vacuum');
    assert.ok(state.bytes() < full - 400_000, `${full} bytes before, ${state.bytes()} after`);
    state.close();
  });
});

test('old jobs go with their logs, the newest of each kind stay', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    for (let id = 1; id <= 6; id++) jobs.add(job(String(id), { state: 'succeeded', endedMs: id }));
    jobs.log('1', [
      { atMs: 1, line: 'a' },
      { atMs: 2, line: 'b' },
    ]);
    jobs.log('1', [{ atMs: 3, line: 'c' }]);
    assert.deepEqual(
      jobs.readLog('1', { limit: 9, after: 1 }).map(({ number, line }) => [number, line]),
      [
        [2, 'b'],
        [3, 'c'],
      ],
    );
    jobs.removeOlder(100, 2);
    assert.deepEqual(
      jobs.list({}, { limit: 9 }).map(({ id }) => id),
      ['6', '5'],
    );
    assert.deepEqual(jobs.readLog('1', { limit: 9 }), []);
    state.close();
  });
});

test('the last job of a schedule stays, however old: what is due next is known by it', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    const monthly = { schedule: 'monthly', state: 'succeeded' } as const;
    jobs.add(job('1', { ...monthly, dueMs: 1, endedMs: 1 }));
    jobs.add(job('2', { ...monthly, dueMs: 2, endedMs: 2 }));
    for (let id = 3; id <= 6; id++) jobs.add(job(String(id), { schedule: 'hourly', dueMs: id, state: 'succeeded', endedMs: id }));
    jobs.removeOlder(100, 2);
    assert.deepEqual(
      jobs.list({}, { limit: 9 }).map(({ id }) => id),
      ['6', '5', '2'],
    );
    assert.equal(jobs.lastDueMs('monthly', 100), 2);
    state.close();
  });
});

test('logs of jobs that succeeded go before those of others', () => {
  withFolder((path) => {
    const state = openState(path);
    const jobs = createJobTable(state);
    for (const [id, state, endedMs] of [
      ['1', 'succeeded', 1],
      ['2', 'failed', 1],
      ['3', 'succeeded', 9],
      ['4', 'running', undefined],
    ] as const) {
      jobs.add(job(id, { state, endedMs }));
      jobs.log(id, [{ atMs: 1, line: 'a' }]);
    }
    jobs.removeLogs(5);
    assert.deepEqual(
      ['1', '2', '3', '4'].map((id) => jobs.readLog(id, { limit: 9 }).length),
      [0, 1, 1, 1],
    );
    assert.equal(jobs.get('1')?.state, 'succeeded');
    state.close();
  });
});

test('evidence follows what a repository holds', () => {
  withFolder((path) => {
    const state = openState(path);
    const table = createEvidenceTable(state);
    const made = (id: string, timeMs: number, volume = 'data') =>
      ({ repository: 'local', project: 'p', id, volume, timeMs, run: 'r' }) as SnapshotEvidence;
    table.add([made('a', 1), made('b', 2)]);
    assert.equal(table.list().length, 2);
    table.add([made('c', 2, 'other')]);
    table.remove('local', ['a', 'not there']);
    assert.deepEqual(
      table.list().map(({ id }) => id),
      ['b', 'c'],
    );
    assert.deepEqual(
      table.list('other').map(({ id }) => id),
      ['c'],
    );
    state.close();
  });
});

test('usage keeps the last of each day, and the audit log its order', () => {
  withFolder((path) => {
    const state = openState(path);
    const usage = createUsageTable(state);
    const day = 86_400_000;
    usage.add(
      [1, 2, day + 1, day + 2, 2 * day].map((atMs) => ({ volume: 'a', atMs, bytes: atMs, files: undefined, capacityBytes: undefined })),
    );
    usage.thin(2 * day);
    assert.deepEqual(
      usage.list('a', 0).map(({ atMs }) => atMs),
      [2, day + 2, 2 * day],
    );
    assert.equal(usage.newest('a')?.atMs, 2 * day);
    usage.removeOlder(day);
    assert.deepEqual(
      usage.list('a', 0).map(({ atMs }) => atMs),
      [day + 2, 2 * day],
    );
    usage.removeOlder(3 * day);
    assert.equal(usage.newest('a'), undefined);
    const log = createAuditLog(state);
    for (const what of ['one', 'two']) log.add({ atMs: 1, who: 'token', what, document: {} });
    assert.deepEqual(
      log.list({ limit: 9 }).map(({ what }) => what),
      ['two', 'one'],
    );
    state.close();
  });
});

test('evidence that is held is what the database has, in its order, whatever came and went', () => {
  const snapshot = fc.record({
    repository: fc.constantFrom('local', 'offsite'),
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    volume: fc.constantFrom('one', 'two'),
    timeMs: fc.nat(3),
  });
  const change = fc.oneof(
    fc.array(snapshot, { maxLength: 6 }).map((made) => ({ made, gone: [] as string[] })),
    fc.subarray(['a', 'b', 'c', 'd', 'e', 'f']).map((gone) => ({ made: [], gone })),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      const state = openState(':memory:');
      const held = createEvidenceTable(state);
      for (const { made, gone } of changes) {
        held.add(made.map((one) => ({ ...one, project: 'p', run: `${one.timeMs}`, downtimeMs: undefined }) as SnapshotEvidence));
        held.remove('local', gone);
        const list = held.list('one');
        const before = [...list];
        const fresh = createEvidenceTable(state);
        for (const volume of ['one', 'two']) assert.deepEqual(new Set(held.list(volume)), new Set(fresh.list(volume)));
        assert.deepEqual(
          held.list().map(({ timeMs, id }) => [timeMs, id]),
          fresh.list().map(({ timeMs, id }) => [timeMs, id]),
        );
        for (const repository of ['local', 'offsite']) assert.deepEqual(held.ids(repository), fresh.ids(repository));
        const counted = (table: typeof held) => new Set(table.counts().map((one) => JSON.stringify(one)));
        assert.deepEqual(counted(held), counted(fresh));
        held.add([{ repository: 'local', id: 'z', project: 'p', volume: 'one', run: 'r', timeMs: 9 } as SnapshotEvidence]);
        assert.deepEqual(list, before, 'a list that was given does not change');
        held.remove('local', ['z']);
      }
      state.close();
    }),
    { numRuns: 50 },
  );
});
