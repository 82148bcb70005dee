import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aJob } from '../../../test/control/plane.ts';
import type { ErrorCode } from '../../model/errors.ts';
import type { Job, JobSpec } from '../jobs/job.ts';
import { type Trouble, troubleFact } from '../objectives/trouble.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { createTroubleKeeper } from './keep-trouble.ts';

const backup: JobSpec = { kind: 'backup', repository: 'local', class: 'scheduled' };
const forget: JobSpec = { kind: 'forget', repository: 'local' };
const copy: JobSpec = { kind: 'copy', from: 'local', to: 'offsite' };

function setUp() {
  const known = new Map<string, unknown>();
  const facts = {
    get: (name: string) => known.get(name),
    set: (name: string, value: unknown) => void known.set(name, value),
    remove: (name: string) => void known.delete(name),
  } as Facts;
  const snapshots: SnapshotEvidence[] = [];
  const trouble = createTroubleKeeper({ facts, evidence: { list: () => snapshots }, now: () => 1_000 });
  const job = (spec: JobSpec, code?: ErrorCode): Job => ({
    ...aJob({ volumes: [] }),
    spec,
    ...(code === undefined ? {} : { state: 'queued' as const, error: { code, message: 'why', remedy: 'what' } }),
  });
  return {
    trouble,
    snapshots,
    fails: (spec: JobSpec, code: ErrorCode) => trouble.ended(job(spec, code)),
    succeeds: (spec: JobSpec) => trouble.ended(job(spec)),
    of: (repository: string) => facts.get<Trouble>(troubleFact(repository))?.code,
  };
}

test('what is of a volume says nothing of a repository; what is of its storage does, and asks for a look', () => {
  const { fails, of } = setUp();
  assert.deepEqual(fails(backup, 'volume-missing'), []);
  assert.deepEqual(fails(backup, 'damaged'), []);
  assert.equal(of('local'), undefined);
  for (const code of ['storage', 'storage-denied', 'storage-full', 'no-repository', 'wrong-password', 'password-missing'] as const) {
    assert.deepEqual(fails(backup, code), ['local']);
    assert.equal(of('local'), code);
  }
});

test('of a copy, only the one that is written to gets full; all else looking tells', () => {
  const { fails, of } = setUp();
  assert.deepEqual(fails(copy, 'storage'), ['local', 'offsite']);
  assert.deepEqual([of('local'), of('offsite')], [undefined, undefined]);
  fails(copy, 'storage-full');
  assert.deepEqual([of('local'), of('offsite')], [undefined, 'storage-full']);
});

test('it is over when a job proves it: full by a backup and not by a prune, denied by a job of its kind, and none by a copy from there', () => {
  for (const [code, bySpec, isOver] of [
    ['storage', forget, true],
    ['storage', copy, true],
    ['storage-full', forget, false],
    ['storage-full', copy, false],
    ['storage-full', backup, true],
    ['storage-denied', backup, true],
    ['storage-denied', forget, false],
  ] as const) {
    const { fails, succeeds, of } = setUp();
    fails(backup, code);
    succeeds(bySpec);
    assert.equal(of('local') === undefined, isOver, `${code} by ${bySpec.kind}`);
  }
});

test('a look that fails takes over what looks can see; a backup by hand that came later ends it', () => {
  const { trouble, snapshots, fails, of } = setUp();
  fails(backup, 'storage');
  trouble.looked('local', true);
  assert.equal(of('local'), 'storage');
  trouble.looked('local', false);
  assert.equal(of('local'), undefined);
  fails(backup, 'storage-full');
  trouble.looked('local', false);
  const made = (timeMs: number) => ({ repository: 'local', timeMs }) as SnapshotEvidence;
  snapshots.push(made(999));
  trouble.looked('local', true);
  assert.equal(of('local'), 'storage-full');
  snapshots.push(made(1_001));
  trouble.looked('local', true);
  assert.equal(of('local'), undefined);
});
