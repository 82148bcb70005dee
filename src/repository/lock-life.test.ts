import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { decodeLock, encodeLock, type LockFile } from '../format/lock-file.ts';
import { judgeBeacon, lightBeacon } from './beacon.ts';
import { evidenceWith, isStale } from './lock-life.ts';
import { judgeProcess, ownEvidence, type ProcessEvidence } from './process-evidence.ts';

const own = ownEvidence() as ProcessEvidence;
const minuteMs = 60_000;
const nowMs = Date.UTC(2026, 0, 1);

/** A program that waits until it is killed. */
function waiting(t: TestContext): ChildProcess & { pid: number } {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  return child as ChildProcess & { pid: number };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

const evidenceOf = (pid: number): ProcessEvidence => ({
  ...own,
  start: readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')[19] as string,
});

const lockOf = (changes: Partial<LockFile>, ageMinutes = 0): LockFile => {
  const time = new Date(nowMs - ageMinutes * minuteMs).toISOString();
  return { time, exclusive: true, hostname: hostname(), username: 'somebody', pid: process.pid, uid: 0, gid: 0, ...changes };
};

test('this system gives evidence', () => {
  assert.match(own.boot, /^[0-9a-f-]{36}$/);
  assert.match(own.namespaces, /^pid:\[\d+\]/);
  assert.equal(judgeProcess(process.pid, own, own), 'alive');
});

test('a process is alive until it is killed; another one with its id is another one', async (t) => {
  const child = waiting(t);
  const evidence = evidenceOf(child.pid);
  assert.equal(judgeProcess(child.pid, evidence, own), 'alive');
  assert.equal(judgeProcess(child.pid, { ...evidence, start: '1' }, own), 'dead');
  await kill(child);
  assert.equal(judgeProcess(child.pid, evidence, own), 'dead');
});

test('of a process in another container only the host can tell', (t) => {
  const child = waiting(t);
  const [, times = ''] = own.namespaces.split(' ');
  const elsewhere = { ...evidenceOf(child.pid), namespaces: `pid:[1] ${times}`.trim() };
  const outside = { ...own, namespaces: `pid:[4026531836] ${times}`.trim() };
  // The id that the process has inside; here it is the same.
  assert.equal(judgeProcess(child.pid, elsewhere, outside), 'alive');
  assert.equal(judgeProcess(child.pid + 1, elsewhere, outside), 'dead');
  assert.equal(judgeProcess(child.pid, elsewhere, { ...own, namespaces: 'pid:[2]' }), 'unknown');
  assert.equal(judgeProcess(child.pid, { ...elsewhere, boot: 'another' }, outside), 'unknown');
});

test('a beacon burns until it is put out, or its process is killed', async (t) => {
  const file = join(scratch(t), 'config');
  writeFileSync(file, 'x', { mode: 0o400 });
  const beacon = lightBeacon(file);
  if (beacon === undefined) return t.skip('no file system here keeps locks of its own');
  assert.equal(judgeBeacon(file, beacon.place, true), 'alive');
  beacon.end();
  beacon.end();
  assert.equal(judgeBeacon(file, beacon.place, true), 'dead');

  const script = `
    import { lightBeacon } from ${JSON.stringify(join(import.meta.dirname, 'beacon.ts'))};
    console.log(JSON.stringify(lightBeacon(${JSON.stringify(file)}).place));
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const place = JSON.parse(line.toString());
  assert.equal(judgeBeacon(file, place, true), 'alive');
  await kill(child);
  assert.equal(judgeBeacon(file, place, true), 'dead');
});

test('a beacon proves nothing about another file', (t) => {
  const folder = scratch(t);
  const [file, copy] = [join(folder, 'config'), join(folder, 'copy')];
  writeFileSync(file, 'x');
  copyFileSync(file, copy);
  const beacon = lightBeacon(file);
  if (beacon === undefined) return t.skip('no file system here keeps locks of its own');
  t.after(() => beacon.end());
  assert.equal(judgeBeacon(copy, beacon.place, true), 'unknown');
  assert.equal(judgeBeacon(join(folder, 'missing'), beacon.place, true), 'unknown');
  assert.equal(judgeBeacon(file, { ...beacon.place, device: '1' }, true), 'unknown', 'of another mount');
  assert.equal(judgeBeacon(file, beacon.place, false), 'dead', 'of another boot');
  assert.equal(judgeBeacon(copy, beacon.place, false), 'unknown');
  assert.equal(lightBeacon('/proc/self/status'), undefined, 'a file system that is not trusted');
});

test('locks with evidence are stale as soon as their process is dead, whatever their age; what nobody knows is left to time', async (t) => {
  const child = waiting(t);
  const { pid } = child;
  const evidence = evidenceOf(pid);
  const foreign = { ...evidence, boot: 'another' };
  assert.equal(isStale(lockOf({ pid, evidence }, 29), nowMs, undefined), false);
  assert.equal(isStale(lockOf({ pid, evidence }, 31), nowMs, undefined), true, 'it holds the lock no more');
  assert.equal(isStale(lockOf({ pid, evidence: foreign }, 29), nowMs, undefined), false);
  assert.equal(isStale(lockOf({ pid, evidence: foreign }, 31), nowMs, undefined), true);
  await kill(child);
  assert.equal(isStale(lockOf({ pid, evidence }), nowMs, undefined), true);
  assert.equal(isStale(lockOf({ pid, evidence: foreign }, 29), nowMs, undefined), false, 'same host name, no such process: no evidence');
  assert.equal(isStale(lockOf({ pid }, 7), nowMs, undefined), true, "restic's");
  assert.equal(isStale(lockOf({ pid }, 5), nowMs, undefined), false);
});

test('a beacon has the last word', (t) => {
  const file = join(scratch(t), 'config');
  writeFileSync(file, 'x');
  const beacon = lightBeacon(file);
  if (beacon === undefined) return t.skip('no file system here keeps locks of its own');
  const elsewhere = { ...evidenceWith(beacon).evidence, boot: own.boot, namespaces: 'pid:[1]', start: '1' };
  const lock = (ageMinutes: number) => lockOf({ pid: 1, evidence: elsewhere }, ageMinutes);
  assert.equal(isStale(lock(31), nowMs, file), false, 'a machine that slept is not robbed when it wakes');
  beacon.end();
  assert.equal(isStale(lock(0), nowMs, file), true);
});

test('evidence survives in a lock file, and what is none is ignored', () => {
  const lock = lockOf({ evidence: { ...own, beacon: { device: '1', inode: '2', offset: 3 } } });
  assert.deepEqual(decodeLock(encodeLock(lock), 'n'), lock);
  const plain = encodeLock(lockOf({})).toString();
  for (const field of [
    '1',
    '{}',
    '{"boot":1,"namespaces":"","start":""}',
    '{"boot":"","namespaces":"","start":"","beacon":{"device":1}}',
  ]) {
    assert.equal(decodeLock(Buffer.from(plain.replace(/}$/, `,"holdfast":${field}}`)), 'n').evidence, undefined, field);
  }
});
