import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
import { addHooks, hooksOfLabels } from './labels.ts';

const container = (name: string, labels: Record<string, string>, more: Partial<PlatformContainer> = {}) =>
  ({ name, labels, project: 'shop', state: 'running', ...more }) as unknown as PlatformContainer;
const read = (...containers: PlatformContainer[]) => hooksOfLabels('shop', { containers } as unknown as Inventory);

test('each is run in its own container, as its own user, for its own time', () => {
  const { hooks, taken, mistakes, remarks } = read(
    container('shop-web-2', { 'holdfast.hook.after': '["/bin/off", "now"]' }),
    container('shop-web-1', {
      'holdfast.hook.before': 'php occ maintenance:mode --on',
      'holdfast.hook.on-error': '[ -e /x ] && rm /x',
      'holdfast.hook.user': 'www-data',
      'holdfast.hook.timeout': '30s',
      'holdfast.hook.on-error.user': 'root',
      'holdfast.hook.on-error.timeout': '2m',
      'holdfast.cut': 'stop',
    }),
  );
  assert.deepEqual(hooks, {
    before: [{ command: ['/bin/sh', '-c', 'php occ maintenance:mode --on'], in: 'shop-web-1', user: 'www-data', timeoutMs: 30_000 }],
    after: [{ command: ['/bin/off', 'now'], in: 'shop-web-2', user: undefined, timeoutMs: 300_000 }],
    onError: [{ command: ['/bin/sh', '-c', '[ -e /x ] && rm /x'], in: 'shop-web-1', user: 'root', timeoutMs: 120_000 }],
  });
  assert.deepEqual([mistakes, remarks], [[], []]);
  assert.ok(!JSON.stringify(taken).includes('php'), 'commands may hold secrets');
});

test('containers of others, and those that do not run, have no say', () => {
  const labels = { 'holdfast.hook.before': 'true' };
  const { hooks } = read(
    container('a', labels, { project: 'other' }),
    container('b', labels, { project: undefined }),
    container('c', labels, { state: 'exited' }),
  );
  assert.deepEqual(hooks.before, []);
});

test('what cannot be run as it is written is a mistake; what nobody knows is told', () => {
  const { mistakes, remarks, hooks } = read(
    container('a', { 'holdfast.hook.before': 'true', 'holdfast.hook.timeout': 'soon' }),
    container('b', { 'holdfast.hook.after': ' ' }),
    container('c', { 'holdfast.hook.after': '[1]' }),
    container('d', { 'holdfast.hook.befor': 'true' }),
  );
  assert.equal(mistakes.length, 3);
  assert.equal(remarks.length, 1);
  assert.deepEqual(hooks, { before: [], after: [], onError: [] });
});

test("the file's hooks are around those of labels", () => {
  const hook = (word: string) => ({ command: [word], in: undefined, user: undefined, timeoutMs: 1 });
  const of = (word: string) => ({ before: [hook(word)], after: [hook(word)], onError: [hook(word)] });
  const { before, after, onError } = addHooks(of('file'), of('label'));
  const words = (hooks: { command: string[] }[]) => hooks.flatMap(({ command }) => command);
  assert.deepEqual(
    [words(before), words(after), words(onError)],
    [
      ['file', 'label'],
      ['label', 'file'],
      ['label', 'file'],
    ],
  );
});
