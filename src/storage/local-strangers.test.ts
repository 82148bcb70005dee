import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { strangersIn } from './local-strangers.ts';

test('what is none of a repository', async (t) => {
  const root = scratch(t);
  const name = 'ab'.repeat(32);
  const put = (path: string) => {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), '1234');
  };
  const own = ['config', `keys/${name}`, `locks/${name}`, `snapshots/${name}`, `index/${name}`, `data/ab/${name}`];
  const strange = ['elsewhere', 'notes.txt', 'index/old', 'data/stray', `data/cd/${name}`, 'data/ab/README', 'lost+found/x', 'data/xyz/y'];
  const unfinished = [`index/${name}-tmp-0123`, `data/ab/${name}-tmp-ffff`, 'config-tmp-9a'];
  for (const path of [...own, ...strange.slice(1), ...unfinished]) put(path);
  symlinkSync('nowhere', join(root, 'keys/dangling'));
  mkdirSync(join(root, 'elsewhere'));
  symlinkSync(join(root, 'elsewhere'), join(root, 'data/ef'));
  const found = await Array.fromAsync(strangersIn(root));
  assert.deepEqual(
    found
      .filter((one) => one.unfinished)
      .map(({ path }) => path)
      .sort(),
    unfinished.sort(),
  );
  const others = found.filter((one) => !one.unfinished).map(({ path }) => path);
  assert.deepEqual(
    others.sort(),
    [
      'elsewhere',
      'keys/dangling',
      'notes.txt',
      'index/old',
      'data/stray',
      `data/cd/${name}`,
      'data/ab/README',
      'lost+found',
      'data/xyz',
    ].sort(),
  );
  assert.equal(found.find(({ path }) => path === 'notes.txt')?.sizeBytes, 4);
  assert.deepEqual(await Array.fromAsync(strangersIn(join(root, 'nowhere'))), []);
});
