import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ControlEvent } from '../control/control-plane.ts';
import type { Job, JobState } from '../control/jobs/job.ts';
import { createEventFeed } from './event-feed.ts';

function setUp(t: TestContext) {
  const listeners = new Set<(event: ControlEvent) => void>();
  const clock = { nowMs: 0 };
  const plane = {
    subscribe: (listener: (event: ControlEvent) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    heldUntilMs: () => undefined,
  };
  const feed = createEventFeed(plane, () => clock.nowMs);
  const emit = (event: ControlEvent) => {
    for (const listener of listeners) listener(event);
  };
  const tell = (added: number) => emit({ event: 'evidence', repository: 'local', added, removed: 0 });
  const job = (id: string, state: JobState) => emit({ event: 'job', job: { id, state } as Job, progress: undefined });
  const ending = new AbortController();
  t.after(() => ending.abort());
  /** Reads frames as they are asked for: what stands in them, and their id. */
  const follow = (lastId?: string) => {
    const frames = feed.follow(lastId, ending.signal);
    return async () => {
      const { value = '' } = await frames.next();
      const data = /^data: (.*)$/m.exec(value)?.[1];
      return { id: /^id: (.*)$/m.exec(value)?.[1], event: /^event: (.*)$/m.exec(value)?.[1], data: data && JSON.parse(data) };
    };
  };
  return { feed, listeners, clock, emit, tell, job, follow };
}

test('who comes back is told what came after the last event, and of another daemon that it begins anew', async (t) => {
  const { tell, follow, feed, listeners } = setUp(t);
  const first = follow();
  assert.equal((await first()).event, 'reset');
  tell(1);
  tell(2);
  const { id, data } = await first();
  assert.equal(data.added, 1);
  const again = follow(id);
  assert.equal((await again()).event, undefined, 'a sign of life');
  assert.equal((await again()).data.added, 2);
  const waits = again();
  tell(3);
  assert.equal((await waits).data.added, 3);
  for (const other of ['00000000-1', 'nonsense', '']) assert.equal((await follow(other)()).event, 'reset');
  feed.close();
  assert.equal(listeners.size, 0);
});

test('who falls too far behind begins anew, and misses nothing after that', async (t) => {
  const { tell, follow } = setUp(t);
  const slow = follow();
  await slow();
  for (let i = 0; i < 2_500; i++) tell(i);
  assert.equal((await slow()).event, 'reset');
  tell(9_999);
  assert.equal((await slow()).data.added, 9_999);
});

test('progress is told of once a second, every change of state at once, and logs never', async (t) => {
  const { job, emit, clock, follow, tell } = setUp(t);
  const next = follow();
  await next();
  job('1', 'queued');
  for (let i = 0; i < 100; i++) job('1', 'running');
  emit({ event: 'job-log', job: '1' });
  clock.nowMs = 1_000;
  for (let i = 0; i < 100; i++) job('1', 'running');
  job('1', 'succeeded');
  tell(0);
  const states: string[] = [];
  for (let one = await next(); one.event === 'job'; one = await next()) states.push(one.data.state);
  assert.deepEqual(states, ['queued', 'running', 'running', 'succeeded']);
});
