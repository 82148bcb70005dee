import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { createEvidencePages, type RunEvidence } from './evidence-pages.ts';
import { createEvidenceTable, type SnapshotEvidence } from './evidence-table.ts';
import { openState } from './state.ts';

function stateFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-evidence-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'state.sqlite');
}

function pagesFor(t: TestContext, snapshots: readonly SnapshotEvidence[]) {
  const state = openState(stateFile(t));
  t.after(() => state.close());
  createEvidenceTable(state).add(snapshots);
  return createEvidencePages(state);
}

const evidence = (volume: string, repository: string, run: string, timeMs: number, id: string): SnapshotEvidence => ({
  repository,
  id,
  project: 'shop',
  volume,
  run,
  timeMs,
  class: 'scheduled',
  consistency: 'paused',
  repaired: false,
  unreadable: 0,
  bytes: 1,
  files: 1,
  filesNew: 0,
  filesChanged: 0,
  addedBytes: 0,
  addedPackedBytes: 0,
  durationMs: 1,
  downtimeMs: undefined,
  tags: [],
});

/** Few of each, so that much is the same; ids are those of a copy in another repository, too. */
const snapshots = fc.uniqueArray(
  fc
    .tuple(
      fc.constantFrom('data', 'mail'),
      fc.constantFrom('local', 'offsite'),
      fc.constantFrom('run-1', 'run-2', 'run-3'),
      fc.constantFrom(1_000, 2_000, 3_000),
      fc.constantFrom('aa01', 'aa02', 'ab03', 'b004', 'b105'),
    )
    .map((of) => evidence(...of)),
  { selector: ({ repository, id }) => `${repository} ${id}`, maxLength: 10 },
);
const optional = <Value>(...values: Value[]) => fc.constantFrom(undefined, ...values);
const newestFirst = (a: SnapshotEvidence, b: SnapshotEvidence) =>
  b.timeMs - a.timeMs || (`${a.id} ${a.repository}` < `${b.id} ${b.repository}` ? 1 : -1);

/** All pages, one after the other. */
function allOf<Item>(limit: number, pageAfter: (last: Item | undefined) => Item[]): Item[] {
  const all: Item[] = [];
  for (;;) {
    const page = pageAfter(all.at(-1));
    all.push(...page);
    if (page.length < limit) return all;
  }
}

test('pages of snapshots are what the filter leaves, newest first, whatever is filtered by', (t) => {
  const filters = fc.record({
    volume: optional('data', 'mail', 'none'),
    repository: optional('local', 'offsite', 'none'),
    run: optional('run-1', 'run-2', 'none'),
    id: optional('aa', 'aa01', 'b', 'c'),
  });
  fc.assert(
    fc.property(snapshots, filters, fc.integer({ min: 1, max: 3 }), (all, filter, limit) => {
      const { volume, repository, run, id } = filter;
      const expected = all
        .filter((one) => (volume ?? one.volume) === one.volume && (repository ?? one.repository) === one.repository)
        .filter((one) => (run ?? one.run) === one.run && one.id.startsWith(id ?? ''))
        .sort(newestFirst);
      const pages = pagesFor(t, all);
      assert.deepEqual(
        allOf<SnapshotEvidence>(limit, (before) => pages.page(filter, { limit, before })).map((one) => `${one.repository} ${one.id}`),
        expected.map((one) => `${one.repository} ${one.id}`),
      );
    }),
    { numRuns: 40 },
  );
});

test('pages of runs together are all runs of each repository, each with the time of its newest snapshot and what it holds', (t) => {
  fc.assert(
    fc.property(snapshots, optional('local', 'offsite', 'none'), fc.integer({ min: 1, max: 3 }), (all, repository, limit) => {
      const pages = pagesFor(t, all);
      const keyOf = (one: { run: string; repository: string }) => `${one.run}~${one.repository}`;
      const groups = Map.groupBy(
        all.filter((one) => (repository ?? one.repository) === one.repository),
        keyOf,
      );
      const expected = [...groups.values()]
        .map((of) => ({ ...(of[0] as SnapshotEvidence), timeMs: Math.max(...of.map(({ timeMs }) => timeMs)), snapshots: of.length }))
        .sort((a, b) => b.timeMs - a.timeMs || (keyOf(a) < keyOf(b) ? 1 : -1))
        .map((one) => ({ run: one.run, repository: one.repository, timeMs: one.timeMs, snapshots: one.snapshots }));
      const found = allOf<RunEvidence>(limit, (last) =>
        pages.runs({ repository }, { limit, ...(last && { beforeMs: last.timeMs, beforeKey: keyOf(last) }) }),
      );
      assert.deepEqual(
        found.map((one) => ({ ...one })),
        expected,
      );
      for (const one of found)
        assert.deepEqual(
          pages.ofRun(one.run, one.repository).map(({ id }) => id),
          (groups.get(keyOf(one)) as SnapshotEvidence[])
            .sort(newestFirst)
            .reverse()
            .map(({ id }) => id),
        );
    }),
    { numRuns: 40 },
  );
});

test('a state of before runs had a column has them after its migration', (t) => {
  const file = stateFile(t);
  const before = openState(file);
  createEvidenceTable(before).add([evidence('data', 'local', 'run-1', 1_000, 'aa01')]);
  before.close();
  const database = new DatabaseSync(file);
  for (const name of ['time', 'newest', 'run', 'id']) database.exec(`DROP INDEX snapshots_${name}`);
  database.exec('DROP INDEX jobs_of_schedule; ALTER TABLE snapshots DROP COLUMN run; PRAGMA user_version = 3');
  database.close();
  const state = openState(file);
  t.after(() => state.close());
  assert.equal(state.replaced, undefined);
  assert.deepEqual(
    { ...createEvidencePages(state).runs({}, { limit: 10 })[0] },
    { run: 'run-1', repository: 'local', timeMs: 1_000, snapshots: 1 },
  );
});

test('what is asked for by pages has an index: few rows are looked at', (t) => {
  const state = openState(stateFile(t));
  t.after(() => state.close());
  const asked: string[] = [];
  const { database } = state;
  const prepare = database.prepare.bind(database);
  database.prepare = (sql: string) => {
    asked.push(sql);
    return prepare(sql);
  };
  const pages = createEvidencePages(state);
  const prepared = asked.length;
  for (const filter of [{}, { volume: 'data' }, { repository: 'local' }, { run: 'run-1' }, { id: 'aa' }, { volume: 'data', id: 'aa' }])
    pages.page(filter, { limit: 10, before: evidence('data', 'local', 'run-1', 1, 'aa') });
  for (const sql of asked.slice(prepared)) {
    const values = [...sql.matchAll(/\?/g)].map(() => 1);
    const plan = prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values) as { detail: string }[];
    assert.match(plan[0]?.detail ?? '', /^SEARCH snapshots USING INDEX/, sql);
  }
  const [grouped] = asked.filter((sql) => sql.includes('GROUP BY run'));
  const plan = prepare(`EXPLAIN QUERY PLAN ${grouped}`).all(null, 1, 'x', 1) as { detail: string }[];
  assert.match(plan[0]?.detail ?? '', /USING COVERING INDEX/);
});
