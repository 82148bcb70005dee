import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, emptyAccount } from './job-events.ts';

test('lines that are none of this program change nothing, and end nothing', () => {
  const told = emptyAccount();
  const lines = ['null', '7', '{', '{"event":"snapshot"}', '{"event":"finding"}', '{"event":"finding","finding":{"severity":"error"}}'];
  for (const line of lines) account(told, line, 0);
  assert.equal(told.result.warnings, 0);
  assert.deepEqual(told.result.snapshots, []);
  account(told, '{"event":"message","level":"warning","message":"x"}', 0);
  assert.equal(told.result.warnings, 1);
});
