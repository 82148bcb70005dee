import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { Hook } from '../configuration/configuration.ts';
import { findJournals } from './journal.ts';
import { undoCut } from './undo.ts';

/** Nobody waits. */
const clock: Clock = { now: () => new Date(), sleep: async () => undefined };

/** A run that was killed when it had paused `web` and `db`, and the engine on which it did. */
async function killedRun(t: TestContext, hooks: { onError: string; after: string }) {
  const stateFolder = mkdtempSync(join(tmpdir(), 'holdfast-undo-'));
  t.after(() => rmSync(stateFolder, { recursive: true }));
  const hookOf = (script: string): Hook[] => [{ command: ['/bin/sh', '-c', script], in: undefined, user: undefined, timeoutMs: 60_000 }];
  const journal = {
    run: '20260101T000000Z-aa',
    project: 'shop',
    reach: {},
    groups: [[{ id: 'web', name: 'web', action: 'pause' }], [{ id: 'db', name: 'db', action: 'pause' }]],
    hooks: { onError: hookOf(hooks.onError), after: hookOf(hooks.after) },
  };
  const writer = new URL('./journal.ts', import.meta.url).href;
  const script = `import { writeJournal } from ${JSON.stringify(writer)}; await writeJournal(process.argv[1], ${JSON.stringify(journal)})`;
  const [code] = await once(spawn(process.execPath, ['--input-type=module', '-e', script, stateFolder], { stdio: 'inherit' }), 'close');
  assert.equal(code, 0);
  const paused = new Set(['web', 'db']);
  const broken = new Set<string>();
  const containers = {
    inventory: async () => ({ volumes: [], containers: [], bindMounts: [] }),
    inspect: async (id: string) => ({ state: paused.has(id) ? 'paused' : 'running', health: undefined, removedWhenStopped: false }),
    unpause: async (id: string) => {
      if (broken.has(id)) throw new HoldfastError('engine', `cannot unpause ${id}`);
      paused.delete(id);
    },
    close: () => undefined,
  } as unknown as Containers;
  const undo = async (signal = new AbortController().signal) => {
    const [left] = await findJournals(stateFolder);
    assert.equal(left?.life, 'dead');
    const options = { stateFolder, connect: async () => containers, healthTimeoutMs: 0, onLateStops: () => {}, clock, signal };
    return undoCut(left as NonNullable<typeof left>, options);
  };
  return { stateFolder, paused, broken, undo };
}

test('hooks of a killed run are run once, however often a container does not come back', async (t) => {
  const told = join(mkdtempSync(join(tmpdir(), 'holdfast-hooks-')), 'told');
  t.after(() => rmSync(join(told, '..'), { recursive: true }));
  const { stateFolder, paused, broken, undo } = await killedRun(t, { onError: `echo failed >> ${told}`, after: `echo after >> ${told}` });
  broken.add('db');
  const first = await undo();
  assert.deepEqual([first.isBack, first.failures.map(({ code }) => code)], [false, ['container-down']]);
  assert.deepEqual([...paused], ['db'], 'the others are back');
  assert.equal(readFileSync(told, 'utf8'), 'failed\nafter\n');
  await undo();
  broken.clear();
  assert.deepEqual(await undo(), { isBack: true, failures: [] });
  assert.equal(readFileSync(told, 'utf8'), 'failed\nafter\n');
  assert.deepEqual([[...paused], await findJournals(stateFolder)], [[], []]);
});

test('who is interrupted leaves the hooks to the next one; the containers are back', async (t) => {
  const told = join(mkdtempSync(join(tmpdir(), 'holdfast-hooks-')), 'told');
  t.after(() => rmSync(join(told, '..'), { recursive: true }));
  const { stateFolder, paused, undo } = await killedRun(t, { onError: 'true', after: `echo after >> ${told}` });
  await undo(AbortSignal.abort());
  assert.deepEqual([[...paused], existsSync(told), (await findJournals(stateFolder)).length], [[], false, 1]);
  await undo();
  assert.deepEqual([readFileSync(told, 'utf8'), await findJournals(stateFolder)], ['after\n', []]);
});
