import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobTable } from '../state/job-table.ts';
import { createJobTable } from '../state/job-table.ts';
import { openState } from '../state/state.ts';
import type { Job } from './job.ts';
import { steadyJobTable } from './steady-job-table.ts';

test('no write fails while the state takes nothing, each is told of, and what counts is written later', (t) => {
  const state = openState(':memory:');
  t.after(state.close);
  const failures: unknown[] = [];
  const table = createJobTable(state);
  const jobs = steadyJobTable(table, (error) => failures.push(error));
  const job = { id: 'j', spec: { kind: 'usage' }, state: 'queued', queuedMs: 0 } as Job;
  state.database.exec('PRAGMA query_only = ON');
  const writes: { [Name in 'add' | 'update' | 'log' | 'removeLines' | 'removeLogs' | 'removeOlder']: Parameters<JobTable[Name]> } = {
    add: [job],
    update: [{ ...job, state: 'running' }],
    log: ['j', [{ atMs: 0, line: '{}' }]],
    removeLines: ['j', 1, 2],
    removeLogs: [1],
    removeOlder: [1, 1],
  };
  for (const [name, words] of Object.entries(writes)) {
    const before = failures.length;
    (jobs[name as keyof typeof writes] as (...words: unknown[]) => unknown)(...words);
    assert.ok(failures.length > before, name);
  }
  assert.equal(jobs.get('j')?.state, 'running');
  assert.deepEqual(table.open(), []);
  state.database.exec('PRAGMA query_only = OFF');
  jobs.add({ ...job, id: 'k' });
  assert.deepEqual(
    table.open().map(({ id, state: its }) => [id, its]),
    [
      ['j', 'running'],
      ['k', 'queued'],
    ],
  );
});
