import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import { runHook, runHooks } from './hooks.ts';

const context = { containers: undefined, inventory: undefined, project: 'shop', signal: new AbortController().signal };
const hook = (script: string, timeoutMs = 10_000) => ({ command: ['/bin/sh', '-c', script], in: undefined, user: undefined, timeoutMs });

test('all run, though one fails; what it said is told', async () => {
  const failures = await runHooks([hook('echo no room >&2; exit 3'), hook('true'), { ...hook('true'), in: 'db' }], context);
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['command-failed', 'command-failed'],
  );
  assert.match(failures[0]?.message ?? '', /exit code 3: no room/);
  assert.match(failures[1]?.message ?? '', /no Docker Engine/);
});

test('one that takes too long is ended, with its children', async () => {
  const startedMs = performance.now();
  await assert.rejects(
    runHook(hook('sleep 100 & wait', 100), context),
    (error) => error instanceof HoldfastError && /longer than 0.1 s/.test(error.message),
  );
  assert.ok(performance.now() - startedMs < 60_000);
});

test('an interruption ends it', async () => {
  const interruption = new AbortController();
  const running = runHook(hook('sleep 100'), { ...context, signal: interruption.signal });
  interruption.abort();
  await assert.rejects(running, (error) => error instanceof HoldfastError && error.code === 'interrupted');
});

test('what it leaves running in the background is not waited for', async () => {
  const startedMs = performance.now();
  await runHook(hook('sleep 20 &'), context);
  assert.ok(performance.now() - startedMs < 18_000);
});

test('a program that is not there', async () => {
  await assert.rejects(runHook({ ...hook(''), command: ['/no/such/program'] }, context), /cannot be run/);
});
