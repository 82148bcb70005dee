import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineEvent } from '../../src/model/events.ts';
import type { BlobId } from '../../src/model/ids.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { randomBytes } from '../awkward-tree.ts';
import { injectFault } from '../faults/with-faults.ts';
import { node } from '../tree-node.ts';
import { RestoreFixture, restoreFrom, storeByHand } from './restore-support.ts';

const MiB = 1024 * 1024;

/** Flips a bit in the middle of a stored blob. */
async function damageBlob(fixture: RestoreFixture, id: BlobId): Promise<void> {
  const index = await loadIndex(await fixture.open());
  const place = index.locations(id, 'data')[0];
  assert.ok(place);
  const path = join(fixture.folder, 'data', place.pack.slice(0, 2), place.pack);
  const bytes = readFileSync(path);
  const at = place.offset + (place.length >> 1);
  bytes[at] = (bytes[at] as number) ^ 1;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
}

const fileProblems = (problems: { file: string; problem: string }[]) => problems.map(({ file, problem }) => [file, problem]).sort();

test('a file whose only blob is damaged is not restored; its neighbours are', async (t) => {
  const fixture = new RestoreFixture(t);
  let bad: BlobId | undefined;
  await storeByHand(fixture, ({ data, tree }) => {
    bad = data('this will be damaged');
    return tree([node('bad', { content: [bad] }), node('good', { content: [data('this stays')] }), node('link', { content: [bad] })]);
  });
  await damageBlob(fixture, bad as BlobId);
  const { problems, result } = await fixture.restore({ verify: true });
  assert.deepEqual(fileProblems(problems), [
    ['bad', 'damaged'],
    ['link', 'damaged'],
  ]);
  assert.equal(result.verified, false);
  assert.deepEqual(readdirSync(fixture.target), ['good']);
  assert.match(problems[0]?.message ?? '', /authentication/);
});

test('a file that lacks a part does not keep its name; neither do links to it', async (t) => {
  const fixture = new RestoreFixture(t);
  const parts = [randomBytes(MiB), randomBytes(MiB), randomBytes(1000)];
  let bad: BlobId | undefined;
  await storeByHand(fixture, ({ data, tree }) => {
    const content = parts.map((part) => data(part));
    bad = content[1];
    return tree([node('file', { content, links: 2, inode: 7, deviceId: 1 }), node('link', { content, links: 2, inode: 7, deviceId: 1 })]);
  });
  await damageBlob(fixture, bad as BlobId);
  const { problems } = await fixture.restore();
  assert.deepEqual(fileProblems(problems), [
    ['file', 'damaged'],
    ['link', 'damaged'],
  ]);
  assert.deepEqual(readdirSync(fixture.target), ['file.holdfast-damaged']);
  const left = readFileSync(join(fixture.target, 'file.holdfast-damaged'));
  assert.ok(left.equals(Buffer.concat([parts[0] as Buffer, Buffer.alloc(MiB), parts[2] as Buffer])));
});

test('a file that is there stays as it is when the snapshot has nothing intact for it', async (t) => {
  const fixture = new RestoreFixture(t);
  let bad: BlobId | undefined;
  await storeByHand(fixture, ({ data, tree }) => {
    bad = data('this will be damaged');
    return tree([node('bad', { content: [bad] })]);
  });
  await damageBlob(fixture, bad as BlobId);
  mkdirSync(fixture.target);
  writeFileSync(join(fixture.target, 'bad'), 'this was here before');
  assert.deepEqual(fileProblems((await fixture.restore()).problems), [['bad', 'damaged']]);
  assert.equal(readFileSync(join(fixture.target, 'bad'), 'utf8'), 'this was here before');
});

test('blobs and trees that no index knows are named; the rest is restored', async (t) => {
  const fixture = new RestoreFixture(t);
  const missing = 'ab'.repeat(32) as BlobId;
  await storeByHand(fixture, ({ data, tree }) =>
    tree([
      node('directory', { type: 'dir', subtree: missing }),
      node('file', { content: [missing] }),
      node('good', { content: [data('good')] }),
      node('treeless', { type: 'dir' }),
    ]),
  );
  const { problems, result } = await fixture.restore();
  assert.deepEqual(fileProblems(problems), [
    ['directory', 'damaged'],
    ['file', 'damaged'],
    ['treeless', 'damaged'],
  ]);
  assert.equal(result.problems, 3);
  assert.deepEqual(readdirSync(fixture.target), ['good']);
});

test('what is in a directory whose tree is lost is not deleted', async (t) => {
  const fixture = new RestoreFixture(t);
  await storeByHand(fixture, ({ tree }) => tree([node('directory', { type: 'dir', subtree: 'ab'.repeat(32) as BlobId })]));
  mkdirSync(join(fixture.target, 'directory'), { recursive: true });
  writeFileSync(join(fixture.target, 'directory/precious'), '');
  await fixture.restore({ delete: true });
  assert.ok(existsSync(join(fixture.target, 'directory/precious')));
});

test('names that lead out of the target are refused', async (t) => {
  const hostile = ['..', '.', '../outside', '/outside', 'a/b', '', 'nul\\x00'];
  const fixture = new RestoreFixture(t);
  await storeByHand(fixture, ({ rawTree, tree, data }) => {
    const content = data('pwned');
    const time = '2020-01-01T00:00:00Z';
    const nodes = hostile.map((name, i) => {
      const entry = { name, type: 'file', mode: 420, mtime: time, atime: time, ctime: time, uid: 0, gid: 0, content: [content] };
      return node(`${i}`, { type: 'dir', subtree: rawTree(`${JSON.stringify({ nodes: [entry] })}\n`) });
    });
    return tree([...nodes, node('good', { content: [content] })]);
  });
  const { problems } = await fixture.restore();
  assert.deepEqual(
    fileProblems(problems),
    hostile.map((_, i) => [`${i}`, 'damaged']),
  );
  assert.deepEqual(readdirSync(fixture.target), ['good']);
  assert.deepEqual(readdirSync(fixture.root).sort(), ['repository', 'source', 'target']);
});

test('twice the same name, and a symlink that a later entry would go through', async (t) => {
  const fixture = new RestoreFixture(t);
  await storeByHand(fixture, ({ rawTree, tree, data }) => {
    const time = '2020-01-01T00:00:00Z';
    const common = { mode: 420, mtime: time, atime: time, ctime: time, uid: 0, gid: 0 };
    const evil = rawTree(
      `${JSON.stringify({
        nodes: [
          { name: 'x', type: 'symlink', linktarget: '../../source', ...common, content: null },
          { name: 'x', type: 'dir', subtree: tree([node('file', { content: [data('x')] })]), ...common, content: null },
        ],
      })}\n`,
    );
    return tree([node('evil', { type: 'dir', subtree: evil })]);
  });
  const { problems } = await fixture.restore();
  assert.deepEqual(fileProblems(problems), [['evil', 'damaged']]);
  assert.deepEqual(readdirSync(fixture.source), []);
});

test('a damaged root, a truncated pack and a pack that is gone', async (t) => {
  const fixture = new RestoreFixture(t);
  fixture.file('file', randomBytes(3 * MiB));
  fixture.file('other', 'other');
  await fixture.create();
  await fixture.backUp();
  const packs = readdirSync(join(fixture.folder, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 60);
  const index = await loadIndex(await fixture.open());
  const tree = (await fixture.latest()).tree;
  const treePack = index.locations(tree, 'tree')[0]?.pack as string;
  const dataPack = packs.find((name) => !name.endsWith(treePack)) as string;
  rmSync(join(fixture.folder, 'data', dataPack));
  const { problems } = await fixture.restore();
  assert.deepEqual(fileProblems(problems), [
    ['file', 'damaged'],
    ['other', 'damaged'],
  ]);
  assert.match(problems[0]?.message ?? '', new RegExp(dataPack.slice(-64)));
  rmSync(join(fixture.folder, 'data', treePack.slice(0, 2), treePack));
  await assert.rejects(fixture.restore(), /is missing/);
});

for (const code of ['storage', 'storage-denied'] as const) {
  test(`a storage that fails on the way (${code}) is no damage: its error, and the same restore carries on`, async (t) => {
    const fixture = new RestoreFixture(t);
    await fixture.create();
    for (let number = 0; number < 30; number++) fixture.file(`file-${number}`, randomBytes(700_000));
    await fixture.backUp();
    injectFault({ operation: 'read data', nth: 3, when: 'before', code, lasting: true });
    t.after(() => injectFault(undefined));
    const problems: unknown[] = [];
    const report = (event: EngineEvent) => event.event === 'file-problem' && problems.push(event);
    const failingLane = new URL('../faults/faulty-lane.ts', import.meta.url);
    await assert.rejects(restoreFrom(fixture.folder, { target: fixture.target, report }, failingLane), {
      code,
      volume: 'volume',
      message: /injected/,
      remedy: /run the same restore again/,
    });
    assert.deepEqual(problems, []);
    const names = readdirSync(fixture.target);
    assert.ok(names.includes('.holdfast-restore.json') && !names.some((name) => name.endsWith('.holdfast-damaged')), names.join());
    const { result } = await fixture.restore({ verify: true });
    assert.deepEqual([result.problems, result.verified], [0, true]);
    assert.deepEqual(readdirSync(fixture.target).sort(), readdirSync(fixture.source).sort());
  });
}
