import assert from 'node:assert/strict';
import { chmodSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

type Shop = {
  folder: string;
  holdfast: ReturnType<typeof commandLine>;
  packs: () => string[];
  documents: (text: string) => Record<string, unknown>[];
};

/** A project with one snapshot of two files. */
async function shop(t: TestContext): Promise<Shop> {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data/folder'), { recursive: true });
  writeFileSync(join(folder, 'data/folder/good'), 'good '.repeat(2000));
  writeFileSync(join(folder, 'data/folder/spoiled'), 'spoiled '.repeat(2000));
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);
  return {
    folder,
    holdfast,
    packs: () => globSync('holdfast-repository/data/*/*', { cwd: folder }).map((name) => join(folder, name)),
    documents: (text) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

/** Destroys the first blob of a pack. @returns the pack's id. */
function spoil(pack: string): string {
  const bytes = readFileSync(pack);
  bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
  chmodSync(pack, 0o600);
  writeFileSync(pack, bytes);
  return pack.slice(-64);
}

test('a damaged pack: planned, repaired with a copy kept, and the snapshot without what is lost', async (t) => {
  const { folder, holdfast, packs, documents } = await shop(t);
  const before = packs().toSorted((a, b) => statSync(a).size - statSync(b).size);
  // The trees take more room than the data, which compresses well.
  const id = spoil(before[0] as string);
  assert.equal((await holdfast('check', '--read-data')).exit, exitCodes.failed);

  const planned = await holdfast('repair', 'packs', '--damaged', '--dry-run', '--lanes', '1');
  assert.equal(planned.exit, exitCodes.incomplete, planned.stderr);
  assert.match(planned.stdout, /would be stored anew, 1 blob damaged; a copy would be kept/);
  assert.match(planned.stdout, /is lost[\s\S]*affects snapshot \w+ of data: folder\/\w+\n/);
  assert.deepEqual(packs().sort(), before.toSorted());

  const kept = join(folder, 'kept');
  const done = await holdfast('--json', 'repair', 'packs', id, '--keep', 'kept');
  assert.equal(done.exit, exitCodes.incomplete, done.stderr);
  const said = documents(done.stdout).filter(({ event }) => event !== 'progress');
  assert.deepEqual(
    said.map(({ event, action }) => event ?? action),
    ['salvage-pack', 'finding', 'done'],
  );
  assert.deepEqual(readdirSync(kept), [`pack-${id}`]);
  assert.equal(existsSync(join(folder, 'holdfast-repository/data', id.slice(0, 2), id)), false);

  const snapshots = await holdfast('repair', 'snapshots', '--dry-run');
  assert.match(snapshots.stdout, /would be written anew\n {2}folder\/\w+ lacks content/);
  const first = await holdfast('repair', 'snapshots');
  assert.equal(first.exit, exitCodes.done, first.stderr);
  const tagged = documents((await holdfast('--json', 'snapshots')).stdout);
  assert.equal(tagged.length, 2, 'the damaged one stays');
  assert.equal(tagged.filter(({ tags }) => (tags as string[]).includes('repaired')).length, 1);
  assert.ok(
    tagged.every(({ project, volume }) => project !== undefined && volume === 'data'),
    'identity stays',
  );

  const steps = documents((await holdfast('--json', 'repair', 'snapshots', '--dry-run')).stdout);
  const again = steps.find(({ action }) => action === 'repaired-before');
  const fromOriginal = await holdfast('restore', '--to', 'original', '--json');
  assert.equal(fromOriginal.exit, exitCodes.failed, 'of the two, the damaged one is restored');
  assert.ok(documents(fromOriginal.stdout).some(({ event, snapshot }) => event === 'restored' && snapshot === again?.snapshot));
  assert.equal(documents(fromOriginal.stdout).filter(({ event }) => event === 'file-problem').length, 1);
  assert.doesNotMatch(fromOriginal.stderr, /is repaired/);
  const byId = await holdfast('restore', '--at', again?.replacement as string, '--to', 'repaired');
  assert.equal(byId.exit, exitCodes.done, byId.stderr);
  assert.match(byId.stderr, /data: snapshot \w+ is repaired: it lacks what was lost of the damaged \w+, files may be shortened/);

  const second = await holdfast('repair', 'snapshots');
  assert.match(second.stdout, /written anew before/);
  assert.equal(documents((await holdfast('--json', 'snapshots')).stdout).length, 2, 'not once more');
  assert.equal((await holdfast('repair', 'snapshots', '--forget')).exit, exitCodes.done);
  assert.equal(documents((await holdfast('--json', 'snapshots')).stdout).length, 1);
  const check = await holdfast('check', '--read-data');
  assert.equal(check.exit, exitCodes.done, check.stdout);
  const rehearsed = await holdfast('restore', '--to', 'rehearsal', '--verify');
  assert.equal(rehearsed.exit, exitCodes.done);
  assert.match(rehearsed.stderr, /is repaired/);
});

test('a repository without an index', async (t) => {
  const { folder, holdfast } = await shop(t);
  const index = join(folder, 'holdfast-repository/index');
  rmSync(index, { recursive: true });
  mkdirSync(index);
  const snapshots = await holdfast('repair', 'snapshots', '--forget');
  assert.equal(snapshots.exit, exitCodes.failed);
  assert.match(snapshots.stderr, /run `holdfast repair index` first/, 'nothing is forgotten that is not lost');
  const planned = await holdfast('repair', 'index', '--dry-run');
  assert.match(planned.stdout, /2 packs would be indexed anew/);
  assert.deepEqual(readdirSync(index), []);
  assert.equal((await holdfast('repair', 'index')).exit, exitCodes.done);
  assert.equal((await holdfast('check', '--read-data')).exit, exitCodes.done);
});

test('the command line says what goes together', async (t) => {
  const { holdfast } = await shop(t);
  for (const words of [
    ['repair'],
    ['repair', 'everything'],
    ['repair', 'index', 'ab'],
    ['repair', 'packs'],
    ['repair', 'packs', 'abcd'],
    ['repair', 'packs', '--damaged', 'ab'.repeat(32)],
    ['repair', 'packs', '--forget', '--damaged'],
    ['repair', 'snapshots', '--read-all-packs'],
  ]) {
    const { exit, stderr } = await holdfast(...words);
    assert.equal(exit, exitCodes.usage, `${words.join(' ')}: ${stderr}`);
  }
  assert.equal((await holdfast('repair', 'packs', 'ab'.repeat(32))).exit, exitCodes.failed);
  assert.equal((await holdfast('repair', 'snapshots', 'abcd')).exit, exitCodes.failed);
});
