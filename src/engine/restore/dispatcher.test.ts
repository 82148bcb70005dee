import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lane } from '../lanes/pool.ts';
import { Dispatcher } from './dispatcher.ts';

/** A lane whose calls the test ends. */
function manualLane(): { lane: Lane; pending: { resolve: (reply: unknown) => void; reject: (error: Error) => void }[] } {
  const pending: { resolve: (reply: unknown) => void; reject: (error: Error) => void }[] = [];
  const lane = { call: () => new Promise((resolve, reject) => pending.push({ resolve, reject })) } as unknown as Lane;
  return { lane, pending };
}

const call = { call: 'sync', fd: -1 } as const;

test('calls are spread, replies are handed on, and what a reply adds is carried out', async () => {
  const [a, b] = [manualLane(), manualLane()];
  const dispatcher = new Dispatcher([a.lane, b.lane], 1);
  const replies: number[] = [];
  const submit = () => dispatcher.submit<number>(call, (reply) => replies.push(reply));
  submit();
  submit();
  assert.deepEqual([a.pending.length, b.pending.length], [1, 1]);
  dispatcher.submit<number>(call, () => submit());
  for (let value = 0; dispatcher.busy; value++) {
    (a.pending.shift() ?? b.pending.shift())?.resolve(value);
    await dispatcher.change();
  }
  assert.equal(replies.length, 3);
});

test('room is given only while few calls wait', async () => {
  const { lane, pending } = manualLane();
  const dispatcher = new Dispatcher([lane], 1);
  for (let i = 0; i < 20; i++) dispatcher.submit(call, () => undefined);
  let welcome = false;
  const room = dispatcher.room().then(() => {
    welcome = true;
  });
  const finishOne = async () => {
    pending.shift()?.resolve(0);
    await dispatcher.change();
  };
  await finishOne();
  assert.equal(welcome, false);
  while (!welcome) await finishOne();
  await room;
  assert.ok(dispatcher.busy);
});

test('the first failure, of a lane or of a receiver, stops everything and reaches whoever waits', async () => {
  for (const failing of ['lane', 'receiver']) {
    const { lane, pending } = manualLane();
    const dispatcher = new Dispatcher([lane], 1);
    const done: number[] = [];
    dispatcher.submit(call, () => {
      throw new Error('receiver');
    });
    for (let i = 0; i < 9; i++) dispatcher.submit<number>(call, (reply) => done.push(reply));
    const change = dispatcher.change();
    if (failing === 'lane') pending.shift()?.reject(new Error('lane'));
    else pending.shift()?.resolve(1);
    await assert.rejects(change, { message: failing });
    await assert.rejects(dispatcher.room(), { message: failing });
    const stopped = dispatcher.stop();
    for (const { resolve } of pending) resolve(2);
    await stopped;
    assert.deepEqual(done, []);
    assert.equal(dispatcher.busy, false);
  }
});
