import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, inputsOf, nowMs, snapshotOf } from '../../../test/assessed-project.ts';
import { assess } from './assess.ts';
import { createAssessor } from './assessor.ts';

/** Enough for many slices. */
const names = Array.from({ length: 400 }, (_, i) => `volume-${i}`);
const snapshots = names.flatMap((volume) =>
  Array.from({ length: 120 }, (_, i) => snapshotOf({ id: `${volume} ${i}`, volume, timeMs: nowMs - (120 - i) * 3_600_000 })),
);

test('what is asked for while it is assessed anew is what was known, and nobody waits for all of it', async () => {
  let known = inputsOf({ configuration: configurationOf({ volumes: names }), snapshots: snapshots.slice(0, -1) });
  const assessor = createAssessor(() => known);
  const before = assessor.current();
  known = { ...known, evidence: inputsOf({ snapshots }).evidence, nowMs: nowMs + 1_000 };
  const renewed = assessor.renew();
  assert.equal(assessor.current(), before);
  let turns = 0;
  let isDone = false;
  const other = async () => {
    for (; !isDone; turns++) await new Promise(setImmediate);
  };
  const counted = other();
  const after = await renewed;
  isDone = true;
  await counted;
  assert.deepEqual(after, assess(known));
  assert.equal(assessor.current(), after);
  assert.ok(turns > 1, `${turns} turns of others`);
});

test('who asks for a new one while one is made gets one that knows more', async () => {
  let known = inputsOf({ snapshots: [] });
  const assessor = createAssessor(() => known);
  const first = assessor.renew();
  known = inputsOf({ snapshots: [snapshotOf({ timeMs: nowMs - 1 })] });
  const [second, third] = [assessor.renew(), assessor.renew()];
  assert.equal((await first).volumes[0]?.newest, undefined);
  assert.notEqual((await second).volumes[0]?.newest, undefined);
  assert.equal(await third, await second);
});

test('of a project that is another one now, nothing old is told', async () => {
  let known = inputsOf({ configuration: configurationOf({ volumes: names }), snapshots });
  const assessor = createAssessor(() => known);
  const renewed = assessor.renew();
  known = inputsOf({ configuration: configurationOf({ volumes: ['new'] }) });
  assessor.forget();
  const volumes = ({ volumes: all }: { volumes: { volume: string }[] }) => all.map(({ volume }) => volume);
  assert.deepEqual(volumes(await renewed), ['new']);
  assert.deepEqual(volumes(assessor.current()), ['new']);
});

test('an assessment is good for some seconds, and not for a time before it', () => {
  let atMs = nowMs;
  const assessor = createAssessor(() => inputsOf({ nowMs: atMs }));
  const first = assessor.current();
  atMs += 4_999;
  assert.equal(assessor.current(), first);
  atMs += 1;
  const second = assessor.current();
  assert.equal(second.atMs, atMs);
  atMs -= 60_000;
  assert.equal(assessor.current().atMs, atMs);
});
