import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createEvidencePages } from '../../control/state/evidence-pages.ts';
import { createEvidenceTable, type SnapshotEvidence } from '../../control/state/evidence-table.ts';
import { openState } from '../../control/state/state.ts';
import { operations } from '../contract/operations.ts';
import { parsed } from '../requests.ts';
import type { Asked, Served } from './handlers.ts';
import { listRestorePoints, listSnapshots } from './snapshots.ts';

test('pages go on whatever runs are called, and before 1970', async (t) => {
  const evidence = stateOf(t);
  const runs = ['a run / of somebody, with ~ and é', 'x'.repeat(500), 'run'];
  evidence.add(runs.flatMap((run, at) => [snapshot(run, 0, -62_135_596_800_000 + at), snapshot(`${run}+`, 1, 5)]));
  const served = { plane: { evidence, configuration: () => ({ volumes: [{ name: 'volume-0' }] }) } } as unknown as Served;
  for (const list of [listSnapshots, listRestorePoints] as const) {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const query = parsed(operations.listSnapshots.query, { limit: '1', ...(cursor === undefined ? {} : { cursor }) }, 'the parameter');
      const page = await list(served, { query } as Asked<'listSnapshots'> & Asked<'listRestorePoints'>);
      found.push(...page.items.map(({ run }) => run));
      cursor = page.next;
    } while (cursor !== undefined && found.length < 10);
    assert.deepEqual(found.toSorted(), runs.flatMap((run) => [run, `${run}+`]).toSorted());
  }
});

test('a page of restore points holds as many snapshots as an answer can, and the pages together hold all', (t) => {
  const evidence = stateOf(t);
  const sizes = [3, 400, 400, 400, 1_200, 1];
  evidence.add(sizes.flatMap((count, run) => Array.from({ length: count }, (_, volume) => snapshot(`run-${run}`, volume, run))));
  const volumes = Array.from({ length: 1_201 }, (_, volume) => ({ name: `volume-${volume}` }));
  const served = { plane: { evidence, configuration: () => ({ volumes }) } } as unknown as Served;
  const pages: string[][] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined && pages.length < 10; ) {
    const query = { limit: 100, ...(cursor === '' ? {} : { cursor }) };
    const page = listRestorePoints(served, { query } as Asked<'listRestorePoints'>);
    if (page instanceof Promise) throw new Error('not at once');
    pages.push(page.items.map(({ run, snapshots, lacks }) => `${run}: ${snapshots.length}, lacks ${lacks.length}`));
    cursor = page.next;
  }
  assert.deepEqual(pages, [
    ['run-5: 1, lacks 1200'],
    ['run-4: 1200, lacks 1'],
    ['run-3: 400, lacks 801', 'run-2: 400, lacks 801'],
    ['run-1: 400, lacks 801', 'run-0: 3, lacks 1198'],
  ]);
});

function stateOf(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-points-'));
  const state = openState(join(folder, 'state.sqlite'));
  t.after(() => {
    state.close();
    rmSync(folder, { recursive: true });
  });
  return { ...createEvidencePages(state), add: createEvidenceTable(state).add };
}

const snapshot = (run: string, volume: number, timeMs: number): SnapshotEvidence => ({
  repository: 'local',
  id: `${run}-${volume}`,
  project: 'shop',
  volume: `volume-${volume}`,
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
