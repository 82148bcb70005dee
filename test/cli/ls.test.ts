import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

test('what stands for a snapshot in diff and dump does so in ls', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data/inside'), { recursive: true });
  writeFileSync(join(folder, 'data/inside/file'), '');
  const holdfast = commandLine(folder);
  await holdfast('init', '--volume', 'data=data');
  const { stdout } = await holdfast('backup', '--quiet');
  const id = stdout.trim().split(' ').at(-1) as string;
  for (const name of ['data', 'latest', id]) assert.equal((await holdfast('ls', name)).stdout, 'inside\n', name);
  assert.match((await holdfast('ls', '3 days ago')).stderr, /no snapshot/);
  assert.equal((await holdfast('ls', `${id}:inside`)).stdout, 'inside/file\n');
  assert.equal((await holdfast('ls', 'data', '/inside/')).stdout, 'inside/file\n');
  assert.equal((await holdfast('ls', 'nosuch')).exit, exitCodes.failed);
});
