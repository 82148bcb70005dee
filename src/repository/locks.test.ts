import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { encodeLock } from '../format/lock-file.ts';
import type { Clock } from '../model/clock.ts';
import { HoldfastError } from '../model/errors.ts';
import { createLocalStorage } from '../storage/local.ts';
import type { Storage } from '../storage/storage.ts';
import { type HeldLock, listLocks, lockRepository } from './locks.ts';
import { createRepository, type Repository, sealJsonFile } from './repository.ts';

const minuteMs = 60_000;
const startMs = Date.UTC(2026, 0, 1);

/** A clock that a test moves. */
class TestClock implements Clock {
  private ms = startMs;
  private sleepers: { untilMs: number; wake: () => void }[] = [];
  private onSleep: (() => void)[] = [];

  now(): Date {
    return new Date(this.ms);
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((wake) => {
      this.sleepers.push({ untilMs: this.ms + durationMs, wake });
      signal?.addEventListener('abort', () => wake());
      for (const notify of this.onSleep.splice(0)) notify();
    });
  }

  /** Moves on, sleeper by sleeper; after each, waits until who was woken sleeps again, or has lost the lock. */
  async advance(minutes: number, held: HeldLock): Promise<void> {
    const targetMs = this.ms + minutes * minuteMs;
    for (;;) {
      const next = this.sleepers.toSorted((a, b) => a.untilMs - b.untilMs)[0];
      if (next === undefined || next.untilMs > targetMs) break;
      this.sleepers.splice(this.sleepers.indexOf(next), 1);
      this.ms = Math.max(this.ms, next.untilMs);
      const asleep = new Promise<void>((resolve) => {
        this.onSleep.push(resolve);
        held.lost.addEventListener('abort', () => resolve());
      });
      next.wake();
      await asleep;
    }
    this.ms = targetMs;
  }

  /** The machine slept: nobody was woken in time. */
  async jump(minutes: number, held: HeldLock): Promise<void> {
    this.ms += minutes * minuteMs;
    await this.advance(1, held);
  }
}

/** Fails what `fails` says. */
function failing(storage: Storage, fails: (operation: 'write' | 'remove') => 'before' | 'after' | undefined): Storage {
  const perform = async (operation: 'write' | 'remove', effect: () => Promise<void>) => {
    const when = fails(operation);
    if (when !== 'before') await effect();
    if (when !== undefined) throw new HoldfastError('storage', 'unplugged');
  };
  return {
    ...storage,
    write: (file, parts) => (file.kind === 'locks' ? perform('write', () => storage.write(file, parts)) : storage.write(file, parts)),
    remove: (file) => perform('remove', () => storage.remove(file)),
  };
}

type Setup = { repository: Repository; clock: TestClock; folder: string; lockNames: () => string[] };

async function setUp(t: TestContext): Promise<Setup> {
  const folder = scratch(t);
  const repository = await createRepository(createLocalStorage(folder), {
    password: Buffer.from('x'),
    cost: { N: 16, r: 1, p: 1 },
    chunkerPolynomial: 0x3da3358b4dc173n,
    owner: { username: 'test', hostname: 'test' },
    now: new Date(0),
  });
  return { repository, clock: new TestClock(), folder, lockNames: () => readdirSync(join(folder, 'locks')) };
}

/** The id of a process that has ended. */
const deadPid = () => spawnSync('true').pid;

async function plantLock(
  repository: Repository,
  {
    ageMinutes,
    host = hostname(),
    pid = process.pid,
    exclusive = true,
  }: { ageMinutes: number; host?: string; pid?: number; exclusive?: boolean },
): Promise<string> {
  const time = new Date(startMs - ageMinutes * minuteMs).toISOString();
  const { name, sealed } = sealJsonFile(
    repository,
    encodeLock({ time, exclusive, hostname: host, username: 'somebody', pid, uid: 0, gid: 0 }),
  );
  await repository.storage.write({ kind: 'locks', name }, [sealed]);
  return name;
}

test('shared locks stand side by side; an exclusive one stands alone, and says who holds it', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  const [one, two] = [
    await lockRepository(repository, { exclusive: false, clock }),
    await lockRepository(repository, { exclusive: false, clock }),
  ];
  assert.equal(lockNames().length, 2);
  await assert.rejects(lockRepository(repository, { exclusive: true, clock }), { code: 'locked' });
  assert.equal(lockNames().length, 2, 'a refused lock was left behind');
  await one.release();
  await two.release();
  await two.release();
  const alone = await lockRepository(repository, { exclusive: true, clock });
  await assert.rejects(lockRepository(repository, { exclusive: false, clock }), (error: HoldfastError) => {
    assert.equal(error.code, 'locked');
    assert.equal(error.exitCode, 11);
    assert.match(error.message, new RegExp(`exclusively locked since 2026-01-01T.* by process ${process.pid} of .* on ${hostname()}`));
    return true;
  });
  await alone.release();
  assert.deepEqual(lockNames(), []);
});

for (const { title, ageMinutes, stale, of } of [
  { title: 'a process of this host that is gone, and missed a refresh', ageMinutes: 7, stale: true, of: () => ({ pid: deadPid() }) },
  {
    title: 'a process of this host that is gone, but may be in another container',
    ageMinutes: 5,
    stale: false,
    of: () => ({ pid: deadPid() }),
  },
  { title: 'a living process of this host that missed a refresh', ageMinutes: 29, stale: false, of: () => ({}) },
  { title: 'a living process of this host that was silent for half an hour', ageMinutes: 31, stale: true, of: () => ({}) },
  { title: 'another host, a moment ago', ageMinutes: 0, stale: false, of: () => ({ host: 'elsewhere', pid: deadPid() }) },
  { title: 'another host that missed refreshes', ageMinutes: 29, stale: false, of: () => ({ host: 'elsewhere', pid: deadPid() }) },
  { title: 'another host that was silent for half an hour', ageMinutes: 31, stale: true, of: () => ({ host: 'elsewhere' }) },
]) {
  test(`the lock of ${title} is ${stale ? 'removed' : 'respected'}`, async (t) => {
    const { repository, clock, lockNames } = await setUp(t);
    const planted = await plantLock(repository, { ageMinutes, ...of() });
    assert.deepEqual(
      (await listLocks(repository, clock)).map((lock) => lock.stale),
      [stale],
    );
    const locking = lockRepository(repository, { exclusive: false, clock });
    if (stale) await (await locking).release();
    else await assert.rejects(locking, { code: 'locked' });
    assert.deepEqual(lockNames(), stale ? [] : [planted]);
  });
}

test('a process that has ended but was not waited for holds no lock', async (t) => {
  const { repository, clock } = await setUp(t);
  // The child of the shell ends; the shell, which has become `sleep`, never asks for it.
  const shell = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => shell.kill('SIGKILL'));
  const [line] = (await once(shell.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  await plantLock(repository, { ageMinutes: 7, pid });
  let stale = false;
  // It ends in its own time.
  for (let tries = 0; tries < 10_000 && !stale; tries++) stale = (await listLocks(repository, clock))[0]?.stale ?? false;
  assert.ok(stale);
});

test('with a stale lock go the unfinished files that its process left, and no fresh ones', async (t) => {
  const { repository, clock, folder } = await setUp(t);
  const name = 'a'.repeat(64);
  mkdirSync(join(folder, 'data', 'aa'));
  const [old, fresh] = [join(folder, 'data', 'aa', `${name}-tmp-00112233`), join(folder, 'index', `${name}-tmp-44556677`)];
  for (const path of [old, fresh, join(folder, 'data', 'aa', name)]) writeFileSync(path, 'half');
  utimesSync(old, 1, 1);
  utimesSync(join(folder, 'data', 'aa', name), 1, 1);
  await (await lockRepository(repository, { exclusive: false, clock })).release();
  assert.deepEqual(readdirSync(join(folder, 'data', 'aa')).length, 2, 'without a stale lock nobody looks');
  await plantLock(repository, { ageMinutes: 31 });
  await (await lockRepository(repository, { exclusive: false, clock })).release();
  assert.deepEqual(readdirSync(join(folder, 'data', 'aa')), [name]);
  assert.equal(readdirSync(join(folder, 'index')).length, 1);
});

test('a held lock is refreshed every five minutes, and there is always one', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  const held = await lockRepository(repository, { exclusive: true, clock });
  const [first] = lockNames();
  await clock.advance(4, held);
  assert.deepEqual(lockNames(), [first]);
  await clock.advance(1, held);
  assert.equal(lockNames().length, 1);
  assert.notEqual(lockNames()[0], first);
  await clock.advance(120, held);
  const [lock] = await listLocks(repository, clock);
  assert.ok(clock.now().getTime() - Date.parse(lock?.time ?? '') <= 5 * minuteMs);
  assert.equal(lock?.exclusive, true);
  assert.equal(held.lost.aborted, false);
  await held.release();
  assert.deepEqual(lockNames(), []);
});

test('a refresh that fails is tried again; after 25 minutes the work is told to stop', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  let broken = false;
  const storage = failing(repository.storage, (operation) => (broken && operation === 'write' ? 'before' : undefined));
  const held = await lockRepository({ ...repository, storage }, { exclusive: false, clock });
  const [first] = lockNames();
  broken = true;
  await clock.advance(20, held);
  assert.deepEqual(lockNames(), [first]);
  broken = false;
  await clock.advance(1, held);
  assert.notEqual(lockNames()[0], first, 'the next attempt comes a minute later');
  broken = true;
  await clock.advance(24, held);
  assert.equal(held.lost.aborted, false);
  await clock.advance(1, held);
  assert.equal((held.lost.reason as HoldfastError).code, 'locked');
  assert.match((held.lost.reason as HoldfastError).message, /could not be refreshed/);
  broken = false;
  await held.release();
  assert.deepEqual(lockNames(), []);
});

test('who was taken for dead and robbed stops, and locks nobody out', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  const held = await lockRepository(repository, { exclusive: false, clock });
  const [own] = lockNames();
  await repository.storage.remove({ kind: 'locks', name: own as string });
  const robber = await plantLock(repository, { ageMinutes: 0, host: 'elsewhere' });
  await clock.jump(40, held);
  assert.equal((held.lost.reason as HoldfastError).code, 'locked');
  assert.match((held.lost.reason as HoldfastError).message, /removed by another process/);
  assert.deepEqual(lockNames(), [robber]);
  await held.release();
});

test('a machine that slept while nobody else came carries on', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  const held = await lockRepository(repository, { exclusive: false, clock });
  await clock.jump(40, held);
  assert.equal(held.lost.aborted, false);
  const [lock] = await listLocks(repository, clock);
  assert.equal(lock?.stale, false);
  await held.release();
  assert.deepEqual(lockNames(), []);
});

test('a lock whose writing was said to fail is not left behind', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  const storage = failing(repository.storage, (operation) => (operation === 'write' ? 'after' : undefined));
  await assert.rejects(lockRepository({ ...repository, storage }, { exclusive: false, clock }), { code: 'storage' });
  assert.deepEqual(lockNames(), []);
});

test('an old lock that could not be removed goes with the release', async (t) => {
  const { repository, clock, lockNames } = await setUp(t);
  let broken = false;
  const storage = failing(repository.storage, (operation) => (broken && operation === 'remove' ? 'before' : undefined));
  const held = await lockRepository({ ...repository, storage }, { exclusive: false, clock });
  broken = true;
  await clock.advance(5, held);
  assert.equal(lockNames().length, 2);
  broken = false;
  await held.release();
  assert.deepEqual(lockNames(), []);
});

/** What credentials that cannot remove anything make of a storage; counts the attempts. */
function withoutRemoval({ repository }: Setup): { repository: Repository; attempts: () => number } {
  let attempts = 0;
  const remove = async () => {
    attempts++;
    throw new HoldfastError('storage-denied', 'cannot remove');
  };
  return { repository: { ...repository, storage: { ...repository.storage, hostFile: undefined, remove } }, attempts: () => attempts };
}

test('a lock that may not be removed is left to go stale, which is told once; it is refreshed all the same', async (t) => {
  const setup = await setUp(t);
  const { clock, lockNames } = setup;
  const { repository, attempts } = withoutRemoval(setup);
  const told: string[] = [];
  const held = await lockRepository(repository, { exclusive: false, clock, onKept: ({ message }) => told.push(message) });
  await clock.advance(61, held);
  assert.equal(held.lost.aborted, false);
  const refreshes = lockNames().length - 1;
  assert.ok(refreshes >= 11);
  assert.equal((await listLocks(repository, clock)).filter(({ stale }) => !stale).length, 6);
  await held.release();
  assert.deepEqual(told, ['cannot remove']);
  assert.equal(attempts(), refreshes + 1, 'what was refused once is not tried again');
});

/** A clock that nobody sleeps by yet. */
async function clockAfter(minutes: number): Promise<TestClock> {
  const clock = new TestClock();
  await clock.advance(minutes, { lost: new AbortController().signal, confirm: async () => undefined, release: async () => undefined });
  return clock;
}

test('a stale lock that may not be removed blocks nobody; a living one blocks as ever', async (t) => {
  const setup = await setUp(t);
  const { clock, lockNames } = setup;
  const { repository } = withoutRemoval(setup);
  const stale = await plantLock(repository, { ageMinutes: 31 });
  await (await lockRepository(repository, { exclusive: true, clock })).release();
  assert.equal(lockNames().length, 2);
  assert.ok(lockNames().includes(stale));
  await assert.rejects(lockRepository(repository, { exclusive: false, clock }), { code: 'locked' });
  await (await lockRepository(repository, { exclusive: false, clock: await clockAfter(31) })).release();
  // Whoever may, clears up.
  await (await lockRepository(setup.repository, { exclusive: false, clock: await clockAfter(62) })).release();
  assert.deepEqual(lockNames(), []);
});

test('many locks are read side by side', async (t) => {
  const { repository, clock } = await setUp(t);
  for (let age = 0; age < 40; age++) await plantLock(repository, { ageMinutes: age, exclusive: false, host: `host-${age}` });
  let reading = 0;
  let most = 0;
  const read: Storage['read'] = async (file, range) => {
    most = Math.max(most, ++reading);
    const bytes = await repository.storage.read(file, range);
    reading--;
    return bytes;
  };
  const found = await listLocks({ ...repository, storage: { ...repository.storage, read } }, clock);
  assert.equal(new Set(found.map(({ hostname: host }) => host)).size, 40);
  assert.ok(most > 1 && most <= 8, `${most} at a time`);
});

test('a lock that was renewed while somebody looked at it is there', async (t) => {
  const { repository, clock } = await setUp(t);
  const held: HeldLock = await lockRepository(renewingWhileLookedAt(), { exclusive: true, clock });
  await held.confirm();
  assert.equal(held.lost.aborted, false);
  await held.release();

  /** The first look comes back when the file that was asked for has been replaced. */
  function renewingWhileLookedAt(): Repository {
    const { storage } = repository;
    let first = true;
    const sizeOf: Storage['sizeOf'] = async (file) => {
      if (first) {
        first = false;
        await clock.advance(6, held);
      }
      return storage.sizeOf(file);
    };
    return { ...repository, storage: { ...storage, sizeOf } };
  }
});

test('when the lock of another cannot be read for a failure of the storage, nothing is locked, and nothing stays', async (t) => {
  const { repository, clock } = await setUp(t);
  await plantLock(repository, { ageMinutes: 1, exclusive: false, host: 'another' });
  const read: Storage['read'] = async (file, range) => {
    if (file.kind === 'locks') throw new HoldfastError('storage', 'injected');
    return repository.storage.read(file, range);
  };
  for (const exclusive of [false, true]) {
    const unreadable = { ...repository, storage: { ...repository.storage, read } };
    await assert.rejects(lockRepository(unreadable, { exclusive, clock }), { code: 'storage' });
  }
  assert.equal((await listLocks(repository, clock)).length, 1);
});

/** Shows the first lock that is written half, as servers do that write in place, until locks were listed and read. */
function writingInPlace(folder: string, storage: Storage): Storage {
  const shown = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<void>();
  return {
    ...storage,
    async write(file, parts) {
      const path = join(folder, file.kind, file.name);
      writeFileSync(path, Buffer.concat(parts).subarray(0, 20));
      shown.resolve();
      await seen.promise;
      await storage.write(file, parts);
    },
    async *list(kind) {
      await shown.promise;
      yield* storage.list(kind);
      // After who has listed it, and reads it at once.
      setImmediate(seen.resolve);
    },
    read: async (file) => readFileSync(join(folder, file.kind, file.name)),
  };
}

test('a lock of ours that shows half-written is not taken for a damaged one', async (t) => {
  const { repository, folder, clock } = await setUp(t);
  const held = await lockRepository({ ...repository, storage: writingInPlace(folder, repository.storage) }, { exclusive: false, clock });
  await held.release();
});

test("another's lock that shows half-written is looked at again; one that stays so is refused", async (t) => {
  const { repository, folder, clock, lockNames } = await setUp(t);
  const name = await plantLock(repository, { ageMinutes: 0, exclusive: false, host: 'another' });
  const path = join(folder, 'locks', name);
  const whole = readFileSync(path);
  const sleeps: number[] = [];
  const cut = () => writeFileSync(path, whole.subarray(0, 20));
  const waiting = (meanwhile: () => void): Clock => ({
    now: () => clock.now(),
    async sleep(durationMs) {
      sleeps.push(durationMs);
      meanwhile();
    },
  });
  cut();
  const found = await listLocks(
    repository,
    waiting(() => writeFileSync(path, whole)),
  );
  assert.deepEqual(
    found.map((lock) => lock.name),
    [name],
  );
  cut();
  await assert.rejects(
    listLocks(
      repository,
      waiting(() => undefined),
    ),
    { code: 'locked', file: `locks/${name}` },
  );
  assert.deepEqual([sleeps, lockNames()], [[1000, 1000], [name]]);
});
