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
  await assert.rejects(runBeside(work, [beside, beside], new AbortController().signal, assert.ifError), /no more/);
  // What it has begun itself hears of it.
  assert.equal(inner?.aborted, true);
});

test('an abort ends all', { timeout: 60_000 }, async () => {
  const controller = new AbortController();
  const running = runBeside(beside, [beside], controller.signal, assert.ifError);
  controller.abort();
  await running;
});

test('one of the others that fails is told of, and the rest goes on', { timeout: 60_000 }, async () => {
  const controller = new AbortController();
  const told: unknown[] = [];
  const failed = Promise.withResolvers<void>();
  const running = runBeside(beside, [beside, () => Promise.reject(new Error('no eyes'))], controller.signal, (error) => {
    told.push(error);
    failed.resolve();
  });
  await failed.promise;
  controller.abort();
  await running;
  assert.deepEqual(told, [new Error('no eyes')]);
});
