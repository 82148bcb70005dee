import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onceAnHour } from './tell-failures.ts';

test('failures that take turns are told of once an hour each, and never more than a log can bear', () => {
  let nowMs = 0;
  const told: string[] = [];
  const tell = onceAnHour(
    (error) => told.push((error as Error).message),
    () => nowMs,
  );
  for (; nowMs < 3_600_000; nowMs += 60_000) for (const message of ['disk is full', 'no entry']) tell(new Error(message));
  assert.deepEqual(told, ['disk is full', 'no entry']);
  tell(new Error('no entry'));
  assert.deepEqual(told.slice(2), ['no entry']);
  for (let i = 0; i < 1_000; i++) tell(new Error(`no entry ${i}`));
  assert.equal(told.length, 2 + 100);
});
