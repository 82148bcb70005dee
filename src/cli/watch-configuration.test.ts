import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Configuration } from '../control/configuration/configuration.ts';
import { readConfiguration } from '../control/configuration/load.ts';
import { fileSignature } from './file-signature.ts';
import { watchConfiguration } from './watch-configuration.ts';

const textOf = (volume: string, project = 'shop') => `project: ${project}\nvolumes: { ${volume}: }\n`;

/** A daemon that only takes note: what came to it, in order. */
async function daemonOf(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-watch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [file, copy] = [join(folder, 'holdfast.yaml'), join(folder, 'copy')];
  writeFileSync(file, textOf('one'));
  const signature = await fileSignature(file);
  let { configuration } = await readConfiguration(file);
  const told: string[] = [];
  let heard = Promise.withResolvers<void>();
  const tell = (text: string) => {
    told.push(text);
    heard.resolve();
    heard = Promise.withResolvers();
  };
  const daemon = {
    configuration: () => configuration,
    configure(next: Configuration) {
      configuration = next;
      tell(next.volumes.map(({ name }) => name).join());
    },
    refuse: tell,
  };
  let reload = () => {};
  const onReload = (listener: () => void) => {
    reload = listener;
    return () => undefined;
  };
  const watch = () => watchConfiguration(daemon, { signature, copy }, onReload);
  return { file, copy, told, watch, next: () => heard.promise, reload: () => reload() };
}

test('what is changed while the daemon starts is in effect soon after', { timeout: 60_000 }, async (t) => {
  const { file, copy, told, watch, next } = await daemonOf(t);
  writeFileSync(file, textOf('another'));
  const end = watch();
  while (told.length === 0) await next();
  await end();
  assert.deepEqual(told, ['another']);
  assert.match(readFileSync(copy, 'utf8'), /another/);
});

test('a bad one, or one of another project, is refused, also for jobs; what is being read is waited for at the end', {
  timeout: 60_000,
}, async (t) => {
  const { file, copy, told, watch, next, reload } = await daemonOf(t);
  const end = watch();
  for (const [text, said] of [
    ['project: shop\nvolumes: { two: { colour: red } }\n', /colour.*; what was in effect before stays$/s],
    [textOf('two', 'other'), /the project is other now, and was shop/],
  ] as const) {
    writeFileSync(file, text);
    reload();
    while (!told.some((one) => said.test(one))) await next();
  }
  assert.throws(() => readFileSync(copy), { code: 'ENOENT' });
  writeFileSync(file, textOf('three'));
  reload();
  await end();
  assert.equal(told.at(-1), 'three');
  const count = told.length;
  reload();
  await end();
  assert.equal(told.length, count, 'nothing is read after the end');
});
