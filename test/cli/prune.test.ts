import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/cli/system-clock.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

const noise = (name: string, length: number) => createHash('shake256', { outputLength: length }).update(name).digest();

type Repository = { folder: string; holdfast: ReturnType<typeof commandLine>; files: (kind: string) => string[] };

/** A repository of two snapshots, of which the first, with a file of its own, is forgotten. */
async function prunable(t: TestContext): Promise<Repository> {
  const folder = scratch(t);
  const holdfast = commandLine(folder);
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/kept'), noise('kept', 100_000));
  writeFileSync(join(folder, 'data/gone'), noise('gone', 300_000));
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  const files = (kind: string) =>
    readdirSync(join(folder, 'holdfast-repository', kind), { recursive: true, encoding: 'utf8' })
      .filter((name) => /[0-9a-f]{64}$/.test(name))
      .sort();
  const [first] = files('snapshots');
  rmSync(join(folder, 'data/gone'));
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  rmSync(join(folder, 'holdfast-repository/snapshots', first as string));
  return { folder, holdfast, files };
}

/** Without progress, of which a slow machine tells. */
const documents = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event !== 'progress');

test('a dry run tells the plan, pack by pack with --verbose, and changes nothing', async (t) => {
  const { holdfast, files } = await prunable(t);
  const before = ['data', 'index'].map(files);
  const { exit, stdout } = await holdfast('prune', '--dry-run', '--json', '--verbose');
  assert.equal(exit, exitCodes.done);
  const [{ event, dryRun, plan }, ...packs] = documents(stdout);
  assert.deepEqual([event, dryRun, plan.packs.total, packs.length], ['prune-plan', true, files('data').length, files('data').length]);
  assert.ok(plan.bytes.free > 300_000 && plan.bytes.free < 310_000, `${plan.bytes.free} bytes would be freed`);
  assert.equal(packs.filter(({ action }) => action === 'repack').length, plan.packs.repack);
  const text = await holdfast('prune', '-n');
  assert.match(text.stdout, /^frees: {3}29\d KiB of 39\d KiB/m);
  assert.deepEqual(['data', 'index'].map(files), before);
});

test('what is not needed goes; the rest is restored', async (t) => {
  const { folder, holdfast, files } = await prunable(t);
  const { exit, stdout } = await holdfast('prune', '--json');
  assert.equal(exit, exitCodes.done);
  const [{ plan }, { event, result }] = documents(stdout);
  assert.equal(event, 'pruned');
  assert.ok(Math.abs(result.bytesFreed - plan.bytes.free) < 200);
  assert.equal(result.packsRemoved, plan.packs.remove + plan.packs.repack);
  assert.deepEqual(files('locks'), []);
  assert.equal((await holdfast('check', '--read-data')).exit, exitCodes.done);
  assert.equal((await holdfast('restore', '--to', 'target')).exit, exitCodes.done);
  assert.deepEqual(readFileSync(join(folder, 'target/data/kept')), noise('kept', 100_000));
  const again = await holdfast('prune', '--quiet');
  assert.match(again.stdout, /^0 B freed: 0 packs removed in /);
});

test('a pack that cannot be read ends it, and nothing is removed', async (t) => {
  const { folder, holdfast, files } = await prunable(t);
  const before = files('data');
  for (const kind of ['data', 'index'] as const) {
    // All of a kind: which pack is needed depends on names that are random.
    const kept = join(folder, 'kept');
    const path = join(folder, 'holdfast-repository', kind);
    renameSync(path, kept);
    mkdirSync(path);
    const { exit, stderr } = await holdfast('prune', '--json');
    assert.equal(exit, exitCodes.failed, kind);
    assert.match(stderr, /"code":"damaged"/);
    assert.match(stderr, /nothing was removed/);
    rmdirSync(path);
    renameSync(kept, path);
    assert.deepEqual(files('data'), before);
  }
});

test('a running backup keeps a prune out, and lets a dry run in', async (t) => {
  const { folder, holdfast } = await prunable(t);
  const password = Buffer.from(readFileSync(join(folder, 'holdfast.key'), 'utf8').trim());
  const repository = await openRepository(createLocalStorage(join(folder, 'holdfast-repository')), password);
  const held = await lockRepository(repository, { exclusive: false, clock: systemClock });
  assert.equal((await holdfast('prune')).exit, exitCodes.locked);
  assert.equal((await holdfast('prune', '--dry-run')).exit, exitCodes.done);
  await held.release();
  assert.equal((await holdfast('prune')).exit, exitCodes.done);
});

test('options that make no sense', async (t) => {
  const holdfast = commandLine(scratch(t));
  for (const options of [
    ['--max-unused', 'much'],
    ['--max-unused', '100%'],
    ['--max-unused', '-1'],
    ['--max-repack-size', '5%'],
  ]) {
    const { exit, stderr } = await holdfast('prune', ...options);
    assert.equal(exit, exitCodes.usage, stderr);
    assert.match(stderr, new RegExp(options[0] as string));
  }
});

test('--no-lock plans beside who holds the repository, and is for nothing but plans', async (t) => {
  const { folder, holdfast } = await prunable(t);
  const password = readFileSync(join(folder, 'holdfast.key'));
  const repository = await openRepository(createLocalStorage(join(folder, 'holdfast-repository')), Buffer.from(password.toString().trim()));
  const held = await lockRepository(repository, { exclusive: true, clock: systemClock });
  assert.equal((await holdfast('prune', '--dry-run', '--lanes', '1')).exit, exitCodes.locked);
  const planned = await holdfast('prune', '--dry-run', '--no-lock', '--lanes', '1');
  assert.equal(planned.exit, exitCodes.done, planned.stderr);
  const refused = await holdfast('prune', '--no-lock');
  assert.equal(refused.exit, exitCodes.usage);
  assert.match(refused.stderr, /--recover-no-space/);
  await held.release();
});
