import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { type Job, type JobSpec, repositoriesOf } from './job.ts';
import { chooseJobs, type QueueRules } from './queue.ts';

const hourMs = 3_600_000;
const rules: QueueRules = { jobs: 3, mayBegin: () => true };

let count = 0;
const job = (spec: JobSpec, more: Partial<Job> = {}): Job =>
  ({ id: String(count++).padStart(6, '0'), spec, state: 'queued', priority: 5, queuedMs: 0, notBeforeMs: 0, ...more }) as Job;
const backup = (repository: string, volumes?: string[], more?: Partial<Job>) =>
  job({ kind: 'backup', repository, class: 'scheduled', ...(volumes && { volumes }) }, more);
const forget = (repository: string, more?: Partial<Job>) => job({ kind: 'forget', repository }, more);

const isBackup = ({ spec }: Job) => spec.kind === 'backup';
/** Written from the rules, not from the code. */
function clash(a: Job, b: Job): boolean {
  const [first, second] = [repositoriesOf(a.spec), repositoriesOf(b.spec)];
  if (first.some(({ name, alone }) => second.some((other) => other.name === name && (alone || other.alone)))) return true;
  if (a.spec.kind === 'usage' && b.spec.kind === 'usage') return true;
  if (!isBackup(a) || !isBackup(b)) return false;
  const [some, others] = [a, b].map(({ spec }) => ('volumes' in spec ? spec.volumes : undefined));
  return some === undefined || others === undefined || some.some((volume) => others.includes(volume));
}

const repository = fc.constantFrom('r', 's');
const spec = fc
  .record({
    kind: fc.constantFrom('backup', 'forget', 'check', 'copy', 'usage'),
    repository,
    to: repository,
    volumes: fc.option(fc.subarray(['x', 'y', 'z'], { minLength: 1 }), { nil: undefined }),
  })
  .map(({ kind, repository: name, to, volumes }): JobSpec => {
    if (kind === 'copy') return { kind, from: name, to };
    if (kind === 'usage') return { kind };
    if (kind === 'forget') return { kind, repository: name };
    if (kind === 'check') return { kind, repository: name, part: 1, parts: 1 };
    return { kind: 'backup', repository: name, class: 'scheduled', ...(volumes && { volumes }) };
  });
const jobs = fc.array(fc.record({ spec, priority: fc.integer({ min: 0, max: 9 }), notBeforeMs: fc.integer({ min: 0, max: 5 * hourMs }) }), {
  maxLength: 12,
});

test('whatever is queued, no two jobs that clash run, all come to their turn, and none is idle without a reason', () => {
  fc.assert(
    fc.property(jobs, fc.integer({ min: 1, max: 4 }), (given, most) => {
      let open = given.map(({ spec: wanted, ...more }) => job(wanted, more));
      let nowMs = 0;
      for (let round = 0; open.length > 0; round++) {
        assert.ok(round < 100, 'somebody waits for ever');
        const chosen = chooseJobs(open, nowMs, { ...rules, jobs: most });
        open = open.map((one) => (chosen.includes(one) ? { ...one, state: 'running' } : one));
        const running = open.filter(({ state }) => state === 'running');
        assert.ok(running.length <= most);
        for (const [place, a] of running.entries()) for (const b of running.slice(place + 1)) assert.ok(!clash(a, b));
        const ready = open.filter((one) => one.state === 'queued' && one.notBeforeMs <= nowMs);
        assert.ok(running.length > 0 || ready.length === 0);
        // The first one ends.
        if (running[0]) open = open.filter(({ id }) => id !== running[0]?.id);
        nowMs += hourMs;
      }
    }),
    { numRuns: 300 },
  );
});

test('a prune gets its turn among backups, and jobs of other repositories do not wait for it', () => {
  const running = backup('r', ['x'], { state: 'running' });
  const prune = forget('r', { priority: 9 });
  const late = backup('r', ['y']);
  const elsewhere = backup('s', ['z']);
  assert.deepEqual(chooseJobs([running, prune, late, elsewhere], 0, rules), [elsewhere]);
  assert.deepEqual(chooseJobs([prune, late, elsewhere], 0, rules), [prune, elsewhere]);
});

test('a backup that waits for a volume does not hold up those of other volumes in the same repository', () => {
  const running = backup('s', ['x'], { state: 'running' });
  const [waiting, other] = [backup('r', ['x'], { priority: 9 }), backup('r', ['y'])];
  assert.deepEqual(chooseJobs([running, waiting, other], 0, rules), [other]);
  // But one that comes later does not overtake it.
  assert.deepEqual(chooseJobs([running, waiting, backup('r', ['x', 'y'])], 0, rules), []);
});

test('who waits long goes before those with a higher priority that came just now', () => {
  const old = job({ kind: 'check', repository: 'r', part: 1, parts: 1 }, { priority: 2 });
  const fresh = backup('r', undefined, { priority: 6, notBeforeMs: 5 * hourMs });
  assert.deepEqual(chooseJobs([old, fresh], 5 * hourMs, { ...rules, jobs: 1 }), [old]);
  assert.deepEqual(chooseJobs([{ ...old, notBeforeMs: 4 * hourMs }, fresh], 5 * hourMs, { ...rules, jobs: 1 }), [fresh]);
});

test('hundreds that are due at once begin a few at a time, the oldest first', () => {
  const many = Array.from({ length: 500 }, (_, i) => backup(`r${i}`, [`v${i}`], { dueMs: 500 - i }));
  assert.deepEqual(chooseJobs(many, hourMs, rules), [many[499], many[498], many[497]]);
});
