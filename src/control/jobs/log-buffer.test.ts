import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allLines, createJobTable } from '../state/job-table.ts';
import { openState } from '../state/state.ts';
import type { Job } from './job.ts';
import { createLogBuffer, gapLine, kept } from './log-buffer.ts';

function aLog() {
  const state = openState(':memory:');
  const jobs = createJobTable(state);
  jobs.add({ id: 'j', spec: { kind: 'usage' }, state: 'running', queuedMs: 0 } as Job);
  let written = 0;
  const log = createLogBuffer(
    jobs,
    'j',
    () => 0,
    () => written++,
  );
  return { state, log, lines: () => [...allLines(jobs, 'j')], written: () => written };
}

test('the first line is written at once, others together', () => {
  const { state, log, lines, written } = aLog();
  log.add('a');
  assert.equal(lines().length, 1);
  log.add('b');
  log.add('c');
  assert.equal(lines().length, 1);
  log.flush();
  log.flush();
  assert.deepEqual([lines().map(({ line }) => line), written()], [['a', 'b', 'c'], 2]);
  state.close();
});

test('of a long log, the beginning and the end stay, in order, with a mark between', () => {
  const { state, log, lines } = aLog();
  const total = 10 * kept.lines;
  for (let i = 0; i < total; i++) log.add(String(i));
  log.flush();
  const found = lines();
  assert.ok(found.length <= 3 * kept.lines + 1_000, `${found.length}`);
  assert.deepEqual(
    found.slice(0, kept.lines).map(({ line }) => Number(line)),
    Array.from({ length: kept.lines }, (_, i) => i),
  );
  assert.equal(found[kept.lines]?.line, gapLine);
  const end = found.slice(kept.lines + 1).map(({ line }) => Number(line));
  assert.ok(end.length >= kept.lines);
  assert.deepEqual(
    end,
    Array.from({ length: end.length }, (_, i) => total - end.length + i),
  );
  state.close();
});

test('long lines do not wait in memory', () => {
  const { state, log, written } = aLog();
  log.add('first');
  for (let i = 0; i < 40; i++) log.add('x'.repeat(100_000));
  assert.equal(written(), 1 + 3);
  log.flush();
  state.close();
});

test('long lines count by their size', () => {
  const { state, log, lines } = aLog();
  const long = 'x'.repeat(100_000);
  for (let i = 0; i < 200; i++) log.add(`${long}${i}`);
  log.flush();
  const found = lines();
  assert.ok(found.reduce((sum, { line }) => sum + line.length, 0) <= 3 * kept.bytes + 1_000_000);
  assert.ok(found.at(-1)?.line.endsWith('x199'));
  state.close();
});
