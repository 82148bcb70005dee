import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress, createRateMeter, progressParts } from './progress.ts';

const mebibyte = 1024 * 1024;
const state = (mebibytes: number, more = {}) => ({ volume: 'v', filesDone: mebibytes, bytesDone: mebibytes * mebibyte, ...more });

function recorded(isTTY: boolean, columns?: number) {
  const written: string[] = [];
  let now = 0;
  const progress = createProgress({ write: (text) => written.push(text), isTTY, columns }, () => now);
  const take = () => written.splice(0).join('');
  return { progress, take, setNow: (ms: number) => (now = ms) };
}

test('the line has percent, bytes, files, rate and time left, as far as they are known', () => {
  assert.deepEqual(progressParts(state(1), '', undefined), ['v', '1 MiB', '1 file']);
  assert.deepEqual(progressParts(state(25, { filesTotal: 1000, bytesTotal: 100 * mebibyte }), '[2/5] ', 5 * mebibyte), [
    '[2/5] v',
    '25%',
    '25 MiB of 100 MiB',
    '25 of 1,000 files',
    '5 MiB/s',
    '15s left',
  ]);
  assert.deepEqual(progressParts({ volume: 'v', filesDone: 1, bytesDone: 0, filesTotal: 2, bytesTotal: 0 }, '', 0), [
    'v',
    '50%',
    '0 B of 0 B',
    '1 of 2 files',
    '0 B/s',
  ]);
});

test('on a terminal one line is redrawn, no more than ten times a second, and taken away', () => {
  const { progress, take, setNow } = recorded(true);
  progress.start(2);
  progress.startVolume('v');
  progress.update(state(1, { bytesTotal: 4 * mebibyte }));
  assert.equal(take(), '\r\x1b[K[1/2] v  25%  1 MiB of 4 MiB  1 file');
  setNow(99);
  progress.update(state(2));
  assert.equal(take(), '');
  setNow(1000);
  progress.update(state(3, { bytesTotal: 4 * mebibyte }));
  assert.equal(take(), '\r\x1b[K[1/2] v  75%  3 MiB of 4 MiB  3 files  2 MiB/s  1s left');
  progress.clear();
  assert.equal(take(), '\r\x1b[K');
  progress.clear();
  assert.equal(take(), '', 'what is gone is not taken away again');
});

test('a narrow terminal gets what fits on one line', () => {
  const { progress, take } = recorded(true, 20);
  progress.update(state(1, { bytesTotal: 4 * mebibyte }));
  assert.equal(take(), '\r\x1b[Kv  25%');
});

test('a log gets a line every five minutes', () => {
  const { progress, take, setNow } = recorded(false);
  progress.start(1);
  progress.startVolume('v');
  for (let second = 0; second < 300; second += 1) {
    setNow(second * 1000);
    progress.update(state(second));
  }
  progress.clear();
  assert.equal(take(), '');
  setNow(300_000);
  progress.update(state(300));
  setNow(301_000);
  progress.update(state(301));
  assert.equal(take(), 'v  300 MiB  300 files\n');
});

test('the rate follows a change, smoothly, and never is negative', () => {
  const meter = createRateMeter();
  assert.equal(meter(0, 0), undefined);
  assert.equal(meter(1000, 1000), 1000);
  assert.equal(meter(1000, 5000), 1000, 'no time passed');
  const next = meter(2000, 1000) as number;
  assert.ok(next > 800 && next < 1000, String(next));
  for (let second = 3; second < 60; second += 1) meter(second * 1000, 1000);
  assert.ok((meter(60_000, 0) as number) < 10);
  assert.ok((meter(61_000, 0) as number) >= 0);
});
