import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineEvent } from '../../model/events.ts';
import { createOutput } from './create-output.ts';

const retry = (troubleMs: number): EngineEvent => ({
  event: 'storage-retry',
  storage: 'rest:https://host/shop',
  what: 'reading index/0123',
  attempt: 2,
  waitMs: 1500,
  troubleMs,
  reason: 'HTTP 503',
});

function recorded(options: { json?: boolean; verbose?: boolean } = {}) {
  const said = { stdout: '', stderr: '', nowMs: 0 };
  const output = createOutput({
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    environment: {},
    nowMs: () => said.nowMs,
    ...options,
  });
  return { said, output };
}

test('a short trouble is nobody’s business, a long one is told once a minute', () => {
  const { said, output } = recorded();
  output.report(retry(1000));
  assert.deepEqual([said.stdout, said.stderr], ['', '']);
  for (const troubleMs of [12_000, 20_000, 30_000]) output.report(retry(troubleMs));
  assert.equal(said.stderr, 'warning: rest:https://host/shop has been failing for 12s, trying again: HTTP 503\n');
  said.nowMs += 61_000;
  output.report(retry(73_000));
  assert.match(said.stderr, /failing for 1m13s/);
});

test('--verbose tells each', () => {
  const { said, output } = recorded({ verbose: true });
  output.report(retry(0));
  assert.equal(said.stderr, 'rest:https://host/shop: reading index/0123 failed (attempt 2), again in 1.5s: HTTP 503\n');
});

test('--json has each as an event of a run, and no event among the documents of other commands', () => {
  const { said, output } = recorded({ json: true });
  output.report(retry(0));
  assert.equal(said.stdout, '');
  output.report({ event: 'run-started', operation: 'backup', run: 'r', volumes: [] });
  output.report(retry(0));
  assert.deepEqual(JSON.parse(said.stdout.split('\n')[1] as string), retry(0));
});
