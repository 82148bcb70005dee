import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFakeClock } from '../../../test/control/fake-clock.ts';
import { aJob, aProject, assessmentOf } from '../../../test/control/plane.ts';
import { scratch } from '../../../test/peers.ts';
import { HoldfastError } from '../../model/errors.ts';
import { silenceFact } from '../alerts/alert.ts';
import type { ControlEvent, ControlPlane } from '../control-plane.ts';
import type { Job } from '../jobs/job.ts';
import type { Reason } from '../objectives/assessment.ts';
import { createAlertTable } from '../state/alert-table.ts';
import { createJobTable } from '../state/job-table.ts';
import { createFacts } from '../state/log-tables.ts';
import { openState } from '../state/state.ts';
import type { Ping } from './deliver.ts';
import type { Message } from './message.ts';
import { startNotifications } from './start-notifications.ts';
import { undelivered } from './undelivered.ts';

const minute = 60_000;
const hour = 60 * minute;
const startMs = Date.parse('2026-03-02T00:00:30Z');
const toAll = { kind: 'command', run: ['/bin/true'] };
const breached: Reason = { kind: 'rpo-breached', condition: 'broken', message: 'the newest snapshot is 3h old', remedy: 'holdfast backup' };
const filling: Reason = { kind: 'volume-filling', condition: 'at-risk', message: 'full in 3 days', remedy: 'make room' };

/** A control plane of which a test says what it thinks, and all that it sends. */
function setUp(t: TestContext, notifications: Record<string, unknown> = { all: toAll }, volumes: readonly string[] = ['a', 'b']) {
  const clock = createFakeClock(startMs);
  const state = openState(join(scratch(t), 'state.sqlite'));
  const [facts, jobs] = [createFacts(state), createJobTable(state)];
  const listeners = new Set<(event: ControlEvent) => void>();
  const now = () => clock.now().getTime();
  const world = {
    configuration: aProject(volumes, { notifications, schedules: {}, maintenance: off, drills: { enabled: false } }),
    reasons: {} as Record<string, Reason[]>,
    broken: new Set<string>(),
    sent: [] as { to: string; atMs: number; message: Message }[],
    pings: [] as string[],
  };
  const assess = () => {
    const assessment = assessmentOf(world.configuration, now());
    for (const volume of assessment.volumes) volume.reasons = world.reasons[volume.volume] ?? [];
    return assessment;
  };
  const plane = {
    configuration: () => world.configuration,
    assess,
    jobs,
    facts,
    startedMs: startMs,
    subscribe: (listener: (event: ControlEvent) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as ControlPlane;
  const emit = (event: ControlEvent) => {
    for (const listener of listeners) listener(event);
  };
  const start = () => {
    const notifier = startNotifications(plane, {
      state,
      clock,
      environment: {},
      complain: (error) => assert.fail(String(error)),
      deliver: async ({ name }, message) => {
        if (world.broken.has(name)) throw new HoldfastError('notification-failed', 'no way');
        world.sent.push({ to: name, atMs: now(), message });
        return 'ok';
      },
      ping: async ({ name }, { suffix }: Ping) => {
        if (world.broken.has(name)) throw new HoldfastError('notification-failed', 'no way');
        world.pings.push(`${name}${suffix}`);
        return 'OK';
      },
    });
    emit({ event: 'assessment', assessment: assess() });
    return notifier;
  };
  facts.set('seen local', { atMs: 0 });
  const pass = (durationMs: number) => clock.passUntil(now() + durationMs);
  const titles = (to = 'all') => world.sent.filter((one) => one.to === to).map(({ message }) => message.title);
  return { clock, state, facts, jobs, world, emit, start, pass, titles, now };
}
const off = { forget: { enabled: false }, check: { enabled: false }, usage: { enabled: false } };

test('what happens within a minute is one message; what recovers is told once; a restart repeats nothing', async (t) => {
  const { world, start, pass, titles, state } = setUp(t);
  let notifier = start();
  await pass(5 * minute);
  assert.deepEqual(titles(), []);
  world.reasons = { a: [breached], b: [breached, filling] };
  await pass(3 * minute);
  assert.deepEqual(titles(), ['[shop] 2 broken']);
  assert.match(
    world.sent[0]?.message.text ?? '',
    /^BROKEN volume a: the newest snapshot is 3h old\n {2}→ holdfast backup\nBROKEN volume b/,
  );
  await notifier.stop();
  notifier = start();
  await pass(20 * minute);
  assert.deepEqual(titles().slice(1), ['[shop] at risk: volume b: full in 3 days']);
  world.reasons = { b: [filling] };
  await pass(2 * minute);
  await notifier.stop();
  notifier = start();
  await pass(20 * minute);
  assert.deepEqual(titles().slice(2), ['[shop] 2 recovered']);
  assert.match(world.sent[2]?.message.text ?? '', /RECOVERED volume a: over: the newest snapshot is 3h old \(lasted 2\dm/);
  await pass(12 * hour);
  assert.equal(titles().length, 3);
  assert.deepEqual(
    createAlertTable(state)
      .open()
      .map(({ key }) => key),
    ['volume b volume-filling'],
  );
  await notifier.stop();
});

test('nobody is told what was thought before the repositories were looked at', async (t) => {
  const { world, facts, start, pass, titles } = setUp(t);
  facts.remove('seen local');
  world.reasons = { a: [{ ...breached, kind: 'never-backed-up' }] };
  const notifier = start();
  await pass(20 * minute);
  assert.deepEqual(titles(), []);
  facts.set('unseen local', { atMs: 0, message: 'no way' });
  await pass(3 * minute);
  assert.equal(titles().length, 1);
  facts.remove('unseen local');
  world.reasons = { a: world.reasons.a ?? [], b: [breached] };
  await pass(15 * minute);
  assert.equal(titles().length, 2, 'a repository that never answers keeps nobody in the dark');
  await notifier.stop();
});

test('a volume whose first backup is under way is not told of yet', async (t) => {
  const { world, start, pass, titles, jobs } = setUp(t);
  world.reasons = { a: [{ ...breached, kind: 'never-backed-up' }], b: [breached] };
  const first: Job = { ...aJob({ volumes: [] }), state: 'running', endedMs: undefined };
  jobs.add(first);
  const notifier = start();
  await pass(10 * minute);
  assert.deepEqual(titles(), ['[shop] broken: volume b: the newest snapshot is 3h old']);
  jobs.update({ ...first, state: 'cancelled', endedMs: 1 });
  await pass(10 * minute);
  assert.match(titles()[1] ?? '', /broken: volume a/);
  await notifier.stop();
});

test('what does not arrive is tried again and kept over a restart, and told by the others once', async (t) => {
  const { world, facts, start, pass, titles } = setUp(t, { all: toAll, other: { ...toAll, on: ['at-risk', 'broken', 'recovered'] } });
  let notifier = start();
  world.broken.add('all');
  world.reasons = { a: [breached] };
  await pass(30 * minute);
  assert.deepEqual(
    undelivered(world.configuration, facts).map(({ reason }) => reason.message),
    ['notifications do not arrive by `all` since 2026-03-02T00:01Z: no way'],
  );
  assert.deepEqual(titles('other'), [
    '[shop] broken: volume a: the newest snapshot is 3h old',
    '[shop] at risk: notifications do not arrive by `all` since 2026-03-02T00:01Z: no way',
  ]);
  await notifier.stop();
  notifier = start();
  await pass(24 * hour);
  assert.equal(titles('other').length, 2, 'it is told once, however long it lasts');
  world.reasons = { a: [breached], b: [breached] };
  world.broken.clear();
  await pass(2 * hour);
  assert.deepEqual(titles('all'), ['[shop] 2 broken']);
  assert.equal(titles('other').at(-1)?.startsWith('[shop] recovered: over: notifications do not arrive'), true, String(titles('other')));
  assert.deepEqual(undelivered(world.configuration, facts), []);
  await notifier.stop();
});

test('when no way works, nothing grows and nothing is sent in circles', async (t) => {
  const { world, state, start, pass, clock, now } = setUp(t, { all: toAll, other: toAll }, ['a']);
  world.broken = new Set(['all', 'other']);
  const notifier = start();
  for (let i = 0; i < 30; i++) {
    world.reasons = i % 2 === 0 ? { a: [breached] } : {};
    await pass(hour);
  }
  const { count } = state.database.prepare('SELECT count(*) AS count FROM outbox').get() as { count: number };
  assert.equal(count, 2 * 30 + 2, 'begins and ends for both, and each for the other that it does not work');
  clock.set(now() + 8 * 24 * hour);
  world.broken.clear();
  world.reasons = { a: [breached] };
  await pass(3 * hour);
  assert.deepEqual(
    world.sent.slice(0, 2).map(({ to }) => to),
    ['all', 'other'],
  );
  assert.match(world.sent[0]?.message.text ?? '', /\d\d earlier ones could not be delivered, and were given up/);
  await notifier.stop();
});

test('a notification gets 20 messages an hour at most, and nothing is lost', async (t) => {
  const volumes = Array.from({ length: 50 }, (_, index) => `v${index}`);
  const { world, start, pass, titles } = setUp(t, undefined, volumes);
  const notifier = start();
  for (const volume of volumes) {
    world.reasons = { ...world.reasons, [volume]: [breached] };
    await pass(minute);
  }
  assert.equal(titles().length, 20);
  await pass(2 * hour);
  assert.ok(titles().length <= 40);
  assert.equal(new Set(world.sent.flatMap(({ message }) => message.news.map(({ id }) => id))).size, 50);
  assert.equal(world.sent.flatMap(({ message }) => message.news).length, 50);
  await notifier.stop();
});

test('each is told what it asked for', async (t) => {
  const { world, start, pass, titles, emit } = setUp(t, {
    critical: { ...toAll, on: ['broken', 'recovered'], volumes: ['a'] },
    risks: { ...toAll, on: ['at-risk', 'recovered'] },
    settings: { ...toAll, on: ['configuration'] },
    night: { ...toAll, on: ['broken'], quiet: { from: '00:00', to: '06:00', timeZone: 'UTC' } },
    digest: { ...toAll, on: ['digest'], timeZone: 'UTC' },
  });
  const notifier = start();
  world.reasons = { a: [breached], b: [breached, filling] };
  emit({ event: 'configuration', accepted: false, message: 'holdfast.yaml:1:1: wrong' });
  await pass(30 * minute);
  assert.deepEqual(titles('critical'), ['[shop] broken: volume a: the newest snapshot is 3h old']);
  assert.deepEqual(titles('risks'), ['[shop] at risk: volume b: full in 3 days']);
  assert.match(titles('settings').join(), /^\[shop\] configuration refused: the new holdfast.yaml is refused.*holdfast.yaml:1:1: wrong$/);
  assert.deepEqual(titles('night'), []);
  world.reasons = {};
  emit({ event: 'configuration', accepted: true, message: '' });
  await pass(30 * minute);
  assert.equal(titles('critical').length, 2);
  assert.match(titles('critical')[1] ?? '', /recovered: volume a/);
  assert.match(titles('risks')[1] ?? '', /recovered: volume b: over: full in 3 days/);
  await pass(6 * hour);
  assert.deepEqual(titles('night'), ['[shop] 2 broken']);
  await pass(26 * hour);
  assert.deepEqual(titles('digest'), [
    `[shop] digest: 2 of 2 volumes good, 0 at risk, 0 broken`,
    `[shop] digest: 2 of 2 volumes good, 0 at risk, 0 broken`,
  ]);
  assert.match(world.sent.find(({ to }) => to === 'digest')?.message.text ?? '', /no open alerts/);
  await notifier.stop();
});

test('a volume that is not in the configuration any more did not recover', async (t) => {
  const { world, start, pass, titles } = setUp(t);
  const notifier = start();
  world.reasons = { b: [breached] };
  await pass(5 * minute);
  world.configuration = aProject(['a'], { notifications: { all: toAll }, schedules: {}, maintenance: off, drills: { enabled: false } });
  await pass(20 * minute);
  assert.match(titles()[1] ?? '', /not in holdfast.yaml any more: the newest/);
  await notifier.stop();
});

test('failed jobs, and schedules that never ran, are told until one succeeds', async (t) => {
  const { world, start, pass, titles, jobs, now, emit } = setUp(t);
  const schedules = { hourly: { every: '1h' } };
  world.configuration = aProject(['a'], { notifications: { all: toAll }, schedules, maintenance: off, drills: { enabled: false } });
  const notifier = start();
  const ended = (id: string, more: Partial<Job>) => {
    const job: Job = { ...aJob({ volumes: ['a'] }), id, queuedMs: now(), endedMs: now(), dueMs: now(), ...more };
    jobs.add(job);
    emit({ event: 'job', job, progress: undefined });
  };
  const error = { code: 'storage', message: 'the bucket is gone', remedy: 'make it' } as const;
  ended('1', { state: 'failed', error, attempt: 3 });
  await pass(30 * minute);
  assert.deepEqual(titles(), ['[shop] job failed: backup (local) failed after 3 attempts: the bucket is gone']);
  ended('2', { state: 'succeeded', dueMs: now() + 30 * minute });
  await pass(30 * minute);
  assert.match(titles()[1] ?? '', /recovered: over: backup/);
  ended('3', { state: 'failed', schedule: undefined, dueMs: undefined, error, attempts: 1 });
  await pass(30 * minute);
  assert.equal(titles()[2], '[shop] job failed: backup (local) failed: the bucket is gone');
  await pass(2 * hour);
  assert.match(titles()[3] ?? '', /at risk: schedule hourly was due at 2026-03-02T02:00:00.000Z, and has not run/);
  await pass(48 * hour);
  assert.equal(titles().length, 4, 'a job that somebody asked for has no other end');
  await notifier.stop();
});

test('a schedule, and the jobs of a kind of one repository, can have pings of their own', async (t) => {
  const watcher = { kind: 'healthchecks', urlFrom: { environment: 'X' } };
  const { world, start, pass, emit } = setUp(t);
  const notifications = {
    hourly: { ...watcher, schedule: 'hourly' },
    checks: { ...watcher, watch: 'check', repository: 'local' },
    copies: { ...watcher, watch: 'copy', repository: 'local' },
  };
  world.configuration = aProject(['a'], { notifications });
  const notifier = start();
  await pass(1);
  let count = 0;
  const pingsOf = async (more: Partial<Job>) => {
    world.pings = [];
    const id = `job ${count++}`;
    for (const state of ['running', 'succeeded'] as const)
      emit({ event: 'job', job: { ...aJob({ volumes: ['a'] }), ...more, id, state }, progress: undefined });
    await pass(1);
    return world.pings;
  };
  const check = (repository: string): Partial<Job> => ({ spec: { kind: 'check', repository, part: 1, parts: 1 }, schedule: 'check' });
  const copy = (from: string, to: string): Partial<Job> => ({ spec: { kind: 'copy', from, to }, schedule: 'schedule nightly' });
  assert.deepEqual(await pingsOf({ schedule: 'schedule hourly' }), ['hourly/start', 'hourly/0']);
  assert.deepEqual(await pingsOf({ schedule: 'schedule daily' }), []);
  assert.deepEqual(await pingsOf({ schedule: undefined }), []);
  assert.deepEqual(await pingsOf(check('local')), ['checks/start', 'checks/0']);
  assert.deepEqual(await pingsOf(check('offsite')), []);
  assert.deepEqual(await pingsOf(copy('offsite', 'local')), ['copies/start', 'copies/0']);
  assert.deepEqual(await pingsOf(copy('local', 'offsite')), []);
  await notifier.stop();
});

test('pings tell of the daemon and of jobs, each begin and end once', async (t) => {
  const watcher = { kind: 'healthchecks', urlFrom: { environment: 'X' } };
  const { world, start, pass, emit } = setUp(t, { alive: watcher, backups: { ...watcher, watch: 'backup' } });
  const notifier = start();
  await pass(21 * minute);
  assert.deepEqual(world.pings, Array(5).fill('alive'));
  world.pings = [];
  const progress = { filesDone: 1, bytesDone: 1, atMs: 0 };
  const tell = (id: string, more: Partial<Job>) => emit({ event: 'job', job: { ...aJob({ volumes: ['a'] }), id, ...more }, progress });
  for (const state of ['queued', 'running', 'running', 'succeeded'] as const) tell('1', { state });
  tell('2', { state: 'running' });
  tell('2', { state: 'failed', exitCode: 12 });
  tell('3', { state: 'cancelled' });
  tell('4', { state: 'lost', exitCode: undefined });
  tell('5', { state: 'running', spec: { kind: 'usage' } });
  await pass(1);
  assert.deepEqual(world.pings.sort(), ['backups/0', 'backups/12', 'backups/fail', 'backups/start', 'backups/start']);
  world.pings = [];
  for (const state of ['running', 'queued', 'running', 'succeeded'] as const) tell('attempts', { state });
  await pass(1);
  assert.deepEqual(
    world.pings.sort(),
    ['backups/0', 'backups/start', 'backups/start'],
    'an attempt that is followed by another one is no end',
  );
  world.pings = [];
  world.broken.add('backups');
  tell('6', { state: 'running' });
  tell('6', { state: 'succeeded' });
  await pass(minute / 2);
  world.broken.clear();
  await pass(3 * minute);
  assert.deepEqual(
    world.pings.filter((ping) => ping !== 'alive'),
    ['backups/0'],
  );
  await notifier.stop();
});

test('what somebody has silenced is told of when the silence is over, if it is still so; the rest is told as ever', async (t) => {
  const { world, start, pass, titles, facts, now } = setUp(t);
  const notifier = start();
  facts.set(silenceFact('volume a rpo'), { by: 'anna', untilMs: now() + 4 * hour });
  world.reasons = { a: [breached], b: [breached] };
  await pass(3 * hour);
  assert.deepEqual(titles(), ['[shop] broken: volume b: the newest snapshot is 3h old']);
  await pass(2 * hour);
  assert.deepEqual(titles().slice(1), ['[shop] broken: volume a: the newest snapshot is 3h old']);
  facts.set(silenceFact('volume b rpo'), { by: 'anna', untilMs: now() + 4 * hour });
  // That it is over is good news of what was told.
  world.reasons = {};
  await pass(hour);
  assert.deepEqual(titles().slice(2), ['[shop] 2 recovered']);
  world.reasons = { b: [breached] };
  await pass(hour);
  world.reasons = {};
  await pass(10 * hour);
  assert.equal(titles().length, 3);
  await notifier.stop();
});
