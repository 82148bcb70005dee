import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createEvidenceTable, type SnapshotEvidence } from '../state/evidence-table.ts';
import { openState } from '../state/state.ts';
import { listByProcess } from './list-by-process.ts';
import { refreshEvidence } from './read-evidence.ts';

test('a snapshot that says absurdly much is left out, and takes none of the others along', {
  timeout: 60_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-evidence-'));
  t.after(() => rmSync(folder, { recursive: true }));
  // A line of 40 MiB without an end of it in sight, between two that are as they should be.
  const script = `
    const line = (id, tags) => JSON.stringify({ id, time: '2026-01-01T00:00:00Z', project: 'shop', volume: 'data', run: 'r', tags });
    const write = (text) => new Promise((resolve) => process.stdout.write(text, resolve));
    await write(line('a', []) + '\\n');
    await write('{"id":"b","tags":["');
    for (let i = 0; i < 40; i++) await write('x'.repeat(2 ** 20));
    await write('"]}\\n' + line('c', ['y'.repeat(70_000)]) + '\\n' + line('d', ['z']) + '\\n');
    await write(JSON.stringify({ present: ['a', 'b', 'c', 'd', 'e'.repeat(100_000)] }) + '\\n');`;
  const program = { command: [process.execPath, '--input-type=module', '--eval', script, '--'], directory: folder, environment: {} };
  const found: SnapshotEvidence[] = [];
  const table = {
    ids: () => new Set<string>(),
    add: (made: readonly SnapshotEvidence[]) => void found.push(...made),
  } as unknown as Parameters<typeof refreshEvidence>[0];
  await refreshEvidence(table, 'local', 'shop', listByProcess(program, folder));
  assert.deepEqual(
    found.map(({ id }) => id),
    ['a', 'd'],
  );
});

test('what came and went is written a portion at a time, what came first; a listing that breaks off changes nothing', async () => {
  const state = openState(':memory:');
  const table = createEvidenceTable(state);
  const idsOf = (from: number) => Array.from({ length: 1_000 }, (_, i) => `s${from + i}`);
  const lines = (ids: readonly string[], isWhole = true) =>
    async function* () {
      for (const id of ids) yield JSON.stringify({ id, time: '2026-01-01T00:00:00Z', project: 'shop', volume: 'data', run: 'r', tags: [] });
      if (isWhole) yield JSON.stringify({ present: ids });
    };
  assert.deepEqual(await refreshEvidence(table, 'local', 'shop', lines(idsOf(0))), { added: 1_000, removed: 0 });
  const counts = new Set<number>();
  let isDone = false;
  const watching = (async () => {
    for (; !isDone; await new Promise(setImmediate)) counts.add(table.list('data').length);
  })();
  assert.deepEqual(await refreshEvidence(table, 'local', 'shop', lines(idsOf(500))), { added: 500, removed: 500 });
  isDone = true;
  await watching;
  assert.ok(counts.size >= 3 && Math.min(...counts) === 1_000, [...counts].join(' '));
  await assert.rejects(refreshEvidence(table, 'local', 'shop', lines(idsOf(600), false)), /broke off/);
  assert.deepEqual(table.ids('local'), new Set(idsOf(500)));
  state.close();
});
