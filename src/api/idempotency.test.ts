import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ControlPlane } from '../control/control-plane.ts';
import type { Job, JobSpec } from '../control/jobs/job.ts';
import { openApiDatabase } from './auth/database.ts';
import { createIdempotencyKeys } from './idempotency.ts';

const spec: JobSpec = { kind: 'backup', repository: 'local', class: 'manual', volumes: ['a'] } as JobSpec;

function keysFor(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-keys-'));
  const database = openApiDatabase(join(folder, 'api.sqlite'));
  t.after(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  const made: Job[] = [];
  const plane = { jobs: { list: () => made.toReversed() } } as unknown as Pick<ControlPlane, 'jobs'>;
  const start = () => {
    const job = { id: `job-${made.length}`, spec, startedBy: 'web', queuedMs: 1_000 + made.length } as Job;
    made.push(job);
    return job;
  };
  /** As after another start of the daemon. */
  const keys = () => createIdempotencyKeys(database, plane, () => 1_000);
  const asked = (key: string) => ({ who: 'web', key, spec, priority: undefined });
  const dies = () => database.exec("UPDATE idempotency SET job = NULL, answer = NULL WHERE key = 'cut'");
  return { database, made, start, keys, asked, dies };
}

test('an answer that cannot be written down starts nothing again', (t) => {
  const { database, made, start, keys, asked } = keysFor(t);
  const once = keys();
  database.exec("CREATE TRIGGER full BEFORE UPDATE ON idempotency BEGIN SELECT raise(ABORT, 'the disk is full'); END");
  assert.equal(once.once(asked('key'), start).id, 'job-0');
  assert.equal(once.once(asked('key'), start).id, 'job-0');
  assert.equal(keys().once(asked('key'), start).id, 'job-0', 'nor does the next daemon');
  database.exec('DROP TRIGGER full');
  assert.equal(once.once(asked('key'), start).id, 'job-0');
  assert.equal(keys().once(asked('key'), start).id, 'job-0');
  assert.equal(made.length, 1);
});

test('a start that was cut off before its job was made does not take the job of another key for its own', (t) => {
  const { made, start, keys, asked, dies } = keysFor(t);
  keys().once(asked('cut'), start);
  dies();
  // As if the daemon had died before the job.
  made.pop();
  assert.equal(keys().once(asked('other'), start).id, 'job-0');
  assert.equal(keys().once(asked('cut'), start).id, 'job-1');
  assert.equal(keys().once(asked('cut'), start).id, 'job-1');
  assert.equal(made.length, 2);
});

test('a start that failed may be asked for again', (t) => {
  const { made, start, keys, asked } = keysFor(t);
  const fails = () => {
    throw new Error('no such volume');
  };
  assert.throws(() => keys().once(asked('key'), fails), /no such volume/);
  keys().once(asked('key'), start);
  assert.equal(made.length, 1);
});
