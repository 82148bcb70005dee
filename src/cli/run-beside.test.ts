import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repeatedly } from './repeatedly.ts';
import { runBeside } from './run-beside.ts';

const beside = (signal: AbortSignal) => repeatedly(async () => undefined, 3_600_000, signal, assert.ifError);

test('what fails ends those beside it, and itself', { timeout: 60_000 }, async () => {
  let inner: AbortSignal | undefined;
  const work = async (signal: AbortSignal) => {
    inner = signal;
    throw new Error('no more');
  };
  await assert.rejects(runBeside(work, [beside, beside], new AbortController().signal), /no more/);
  // What it has begun itself hears of it.
  assert.equal(inner?.aborted, true);
});

test('an abort ends all', { timeout: 60_000 }, async () => {
  const controller = new AbortController();
  const running = runBeside(beside, [beside], controller.signal);
  controller.abort();
  await running;
});
