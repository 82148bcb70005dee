/** What happens to hosts and storages, against the whole daemon: outages, full disks, clocks that are wrong, laptops that sleep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepositoryAssessment } from '../../src/control/objectives/assessment.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { type LivingDaemon, liveDaemon } from './living-daemon.ts';
import { aProject } from './plane.ts';

const [minuteMs, hourMs] = [60_000, 3_600_000];
const startMs = Date.UTC(2026, 0, 5, 11, 50);
const off = {
  maintenance: { usage: { enabled: false }, check: { enabled: false }, forget: { enabled: false } },
  drills: { enabled: false },
};
const notifications = { all: { kind: 'command', run: ['/bin/true'] } };

/** Repositories that are backed up to every hour. */
const hourlyTo = (names: readonly string[], more: Record<string, unknown> = {}) =>
  aProject(['data'], {
    ...off,
    repositories: Object.fromEntries(names.map((name) => [name, { url: `./${name}`, passwordFile: './key' }])),
    schedules: Object.fromEntries(names.map((name) => [name, { cron: '0 * * * *', to: name }])),
    objectives: { rpo: '2h' },
    notifications,
    ...more,
  });

const refused = () => new HoldfastError('storage', 'connect ECONNREFUSED 192.0.2.1:443');
const full = () => new HoldfastError('storage-full', 'no space left on device');
const repositoryOf = ({ daemon }: LivingDaemon, name: string) =>
  daemon.assess().repositories.find(({ repository }) => repository === name) as RepositoryAssessment;
const kindsOf = (repository: RepositoryAssessment) => repository.reasons.map(({ kind }) => kind);
const ofRepository = ({ told }: LivingDaemon) => told.filter((one) => one.includes(' repository '));

/** Of a repository's backups: the hour of each that began within some minutes of it. */
const hoursOf = ({ begun }: LivingDaemon, name: string) =>
  begun.flatMap((one) => (one.startsWith(`${name} `) && /:0[0-3]$/.test(one) ? [one.slice(-5, -3)] : []));

test('an outage of an hour: what the first attempt says counts at once; it is told once, its end is too, and no other waits', async (t) => {
  const live = liveDaemon(t, hourlyTo(['near', 'far']), startMs);
  await live.pass(9 * minuteMs);
  assert.equal(repositoryOf(live, 'far').condition, 'good');
  live.broken.set('far', { write: refused(), look: refused() });
  await live.pass(4 * minuteMs);
  const { condition, reasons } = repositoryOf(live, 'far');
  assert.equal(condition, 'at-risk');
  assert.match(reasons[0]?.message ?? '', /ECONNREFUSED/);
  await live.pass(hourMs);
  live.broken.clear();
  await live.pass(2 * hourMs);
  assert.equal(repositoryOf(live, 'far').condition, 'good');
  const events = ['at-risk', 'broken', 'recovered'].map((event) => `${event} repository far repository-unreachable`);
  assert.deepEqual(ofRepository(live), events);
  assert.deepEqual(hoursOf(live, 'near'), ['12', '13', '14', '15']);
  assert.deepEqual([...new Set(hoursOf(live, 'far'))], ['12', '13', '14', '15']);
  await live.stop();
});

test('jobs that failed for their storages are told of before anybody can look, and their slots are free at once', async (t) => {
  const names = ['near', 'far', 'farther'];
  const configuration = aProject(names, {
    ...off,
    repositories: Object.fromEntries(names.map((name) => [name, { url: `./${name}`, passwordFile: './key' }])),
    // A volume each, so that they could run side by side; the one that is well comes last.
    schedules: Object.fromEntries(
      names.map((name) => [name, { cron: '0 * * * *', to: name, volumes: [name], priority: name === 'near' ? 1 : 6 }]),
    ),
    daemon: { jobs: 2 },
  });
  const live = liveDaemon(t, configuration, startMs, minuteMs / 2);
  await live.pass(9 * minuteMs);
  const before = live.begun.length;
  const never = new Promise<never>(() => {});
  for (const name of ['far', 'farther']) live.broken.set(name, { write: refused(), look: never });
  await live.pass(1.9 * minuteMs);
  assert.deepEqual(live.begun.slice(before).sort(), ['far 12:00', 'farther 12:00', 'near 12:00']);
  assert.deepEqual(kindsOf(repositoryOf(live, 'far')), ['repository-unreachable']);
  assert.deepEqual(kindsOf(repositoryOf(live, 'farther')), ['repository-unreachable']);
  assert.equal(repositoryOf(live, 'near').condition, 'good');
});

test('at the first start, a repository that does not answer keeps only its own backups waiting', async (t) => {
  const live = liveDaemon(t, hourlyTo(['near', 'far']), startMs);
  const answer = Promise.withResolvers<never>();
  live.broken.set('far', { look: answer.promise });
  await live.pass(5 * minuteMs);
  assert.deepEqual(live.begun, ['near 11:50']);
  live.broken.clear();
  answer.reject(refused());
  await live.pass(4 * minuteMs);
  assert.deepEqual(live.begun, ['near 11:50', 'far 11:55']);
});

test('a repository that is full is said to be full until a backup succeeds, whatever looking sees', async (t) => {
  const live = liveDaemon(t, hourlyTo(['near']), startMs);
  live.broken.set('near', { write: full() });
  await live.pass(2 * minuteMs);
  const early = repositoryOf(live, 'near');
  assert.deepEqual([kindsOf(early), early.condition], [['repository-full'], 'at-risk']);
  assert.match(early.reasons[0]?.remedy ?? '', /make room.*--max-repack-size 0/);
  await live.pass(3 * hourMs);
  const late = repositoryOf(live, 'near');
  assert.deepEqual([kindsOf(late), late.condition], [['repository-full'], 'broken']);
  live.broken.clear();
  await live.pass(2 * hourMs);
  assert.equal(repositoryOf(live, 'near').condition, 'good');
  assert.deepEqual(
    ofRepository(live).map((one) => one.split(' ')[0]),
    ['at-risk', 'broken', 'recovered'],
  );
});

test('a laptop that slept over several schedules makes up for each once, and says so once', async (t) => {
  const live = liveDaemon(t, hourlyTo(['near', 'far']), startMs);
  await live.pass(90 * minuteMs);
  const before = live.begun.length;
  live.clock.set(live.clock.now().getTime() + 9 * hourMs);
  await live.pass(20 * minuteMs);
  assert.deepEqual(
    live.begun
      .slice(before)
      .map((one) => one.split(' ')[0])
      .sort(),
    ['far', 'near'],
  );
  await live.pass(hourMs);
  assert.deepEqual(live.told, ['broken volume data rpo-breached', 'recovered volume data rpo-breached']);
  assert.equal(live.daemon.assess().condition, 'good');
  assert.deepEqual(hoursOf(live, 'near').slice(-1), ['23']);
});

for (const [hours, wrongFor] of [
  [5, 10],
  [-5, 10],
] as const)
  test(`a clock that is wrong by ${hours} hours for ${wrongFor}, and is put right: a backup every hour all the same`, async (t) => {
    const live = liveDaemon(t, hourlyTo(['near']), startMs);
    const jump = (ms: number) => live.clock.set(live.clock.now().getTime() + ms);
    await live.pass(hourMs);
    jump(hours * hourMs);
    await live.pass(wrongFor * hourMs);
    const whileWrong = live.begun.length;
    assert.ok(whileWrong >= wrongFor, `${whileWrong} backups in ${wrongFor} hours`);
    jump(-hours * hourMs);
    await live.pass(12 * hourMs);
    const afterwards = live.begun.length - whileWrong;
    assert.ok(afterwards >= 11 && afterwards <= 13, `${afterwards} backups in 12 hours: ${live.begun.join(', ')}`);
    assert.equal(live.daemon.assess().condition, 'good');
    assert.deepEqual(live.daemon.jobs.open(), []);
    assert.deepEqual(
      live.told.filter((one) => !one.startsWith('recovered')).length,
      live.told.filter((one) => one.startsWith('recovered')).length,
    );
  });

test('jobs that quiet hours hold back say until when, and begin then', async (t) => {
  const quietHours = [{ from: '12:00', to: '13:30', timeZone: 'UTC', backups: false }];
  const live = liveDaemon(t, hourlyTo(['near'], { daemon: { quietHours } }), startMs);
  await live.pass(20 * minuteMs);
  const [job] = live.daemon.jobs.open();
  assert.ok(job);
  assert.equal(live.daemon.heldUntilMs(job), Date.UTC(2026, 0, 5, 13, 30));
  await live.pass(90 * minuteMs);
  assert.deepEqual(live.begun.slice(0, 2), ['near 11:50', 'near 13:30']);
});
