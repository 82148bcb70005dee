/** Byte-identical trees and chunks: whoever backs up an unchanged directory second adds no blob, of data or of trees. */
import assert from 'node:assert/strict';
import { appendFileSync, closeSync, mkdirSync, openSync, renameSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeAwkwardTree, randomBytes } from '../awkward-tree.ts';
import { type Restic, requirePeer, requireRestic, scratch } from '../peers.ts';
import { blobsOf, type Document, documents, holdfast, holdfastJson, type Project, projectAt, restic } from '../programs.ts';

const MiB = 1024 * 1024;
/** Files of many chunks have this size where they prove the cuts, and a quarter of it elsewhere; $HOLDFAST_TEST_SCALE multiplies it. */
const full = { random: 60 * MiB, compressible: 40 * MiB, zeros: 20 * MiB };
const scale = Number(process.env.HOLDFAST_TEST_SCALE ?? 1);

function ready(t: TestContext, name: Restic['name']): Restic | undefined {
  const program = requireRestic(t, name);
  return requirePeer(t, 'setfacl') && requirePeer(t, 'setcap') ? program : undefined;
}

function fullProject(t: TestContext, part = 0.25): { project: Project; volume: string } {
  const folder = scratch(t);
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  makeAwkwardTree(volume, { asRoot: process.getuid?.() === 0 });
  writeFileSync(join(volume, 'random'), randomBytes(full.random * part * scale));
  writeFileSync(join(volume, 'compressible'), compressible(full.compressible * part * scale));
  writeFileSync(join(volume, 'zeros'), Buffer.alloc(full.zeros * part * scale));
  writeFileSync(join(volume, 'of the least size of a chunk'), randomBytes(512 * 1024));
  writeFileSync(join(volume, 'one byte more'), randomBytes(512 * 1024 + 1));
  writeFileSync(join(volume, 'large sparse'), randomBytes(MiB));
  truncateSync(join(volume, 'large sparse'), 2048 * MiB);
  return { project: projectAt(folder, volume), volume };
}

/** Lines that repeat parts of each other. */
function compressible(length: number): Buffer {
  const out = Buffer.alloc(length);
  const words = randomBytes(4096);
  for (let at = 0, n = 0; at < length; n++) at += words.copy(out, at, (n * 7919) % 4000, ((n * 7919) % 4000) + 96);
  return out;
}

/** Edits, appends, renames. */
function edit(volume: string): void {
  const fd = openSync(join(volume, 'random'), 'r+');
  for (let at = 0; at + MiB < statSync(join(volume, 'random')).size; at += 9 * MiB) writeSync(fd, randomBytes(5000), 0, 5000, at + 12_345);
  closeSync(fd);
  appendFileSync(join(volume, 'compressible'), compressible(3 * MiB));
  renameSync(join(volume, 'zeros'), join(volume, 'zeros renamed'));
  writeFileSync(join(volume, 'names', 'added'), 'added\n');
  const sparse = openSync(join(volume, 'large sparse'), 'r+');
  writeSync(sparse, randomBytes(700_000), 0, 700_000, 1000 * MiB + 333);
  closeSync(sparse);
}

type Added = { dataBlobs: number; treeBlobs: number };

function backUpWithHoldfast(project: Project, environment: Record<string, string> = {}): Added {
  const events = holdfastJson(project.folder, ['backup', '--force'], { environment });
  const { dataBlobs, treeBlobs } = events.find(({ event }: Document) => event === 'snapshot').summary;
  return { dataBlobs, treeBlobs };
}

function backUpWithRestic(program: Restic, project: Project, volume: string, environment: Record<string, string> = {}): Added {
  const { stdout } = restic(program, project, ['backup', '.', '--force', '--json'], { cwd: volume, environment });
  const summary = documents(stdout).find(({ message_type }) => message_type === 'summary');
  return { dataBlobs: summary.data_blobs, treeBlobs: summary.tree_blobs };
}

const nothing: Added = { dataBlobs: 0, treeBlobs: 0 };

/** Blobs that are there after the work and were not before. */
function newBlobs(program: Restic, project: Project, work: () => void): string[] {
  const before = blobsOf(program, project);
  work();
  const counts = new Map<string, number>();
  for (const blob of before) counts.set(blob, (counts.get(blob) ?? 0) + 1);
  return blobsOf(program, project).filter((blob) => {
    const count = counts.get(blob) ?? 0;
    counts.set(blob, count - 1);
    return count < 1;
  });
}

for (const zone of ['Asia/Kathmandu', 'America/New_York', 'UTC']) {
  test(`after restic, Holdfast adds nothing, and the other way round (${zone})`, (t) => {
    const program = ready(t, 'newest');
    if (!program) return;
    const environment = { TZ: zone };
    const { project, volume } = fullProject(t, zone === 'UTC' ? 1 : undefined);
    const byHoldfast = () => backUpWithHoldfast(project, environment);
    const byRestic = () => backUpWithRestic(program, project, volume, environment);
    holdfast(project.folder, ['init']);

    const first = byRestic();
    assert.ok(first.dataBlobs > 20 && first.treeBlobs > 10, JSON.stringify(first));
    assert.deepEqual(
      newBlobs(program, project, () => assert.deepEqual(byHoldfast(), nothing)),
      [],
    );

    edit(volume);
    const second = byHoldfast();
    assert.ok(second.dataBlobs > 3 && second.treeBlobs > 0, JSON.stringify(second));
    assert.deepEqual(
      newBlobs(program, project, () => assert.deepEqual(byRestic(), nothing)),
      [],
    );
    if (zone === 'UTC') restic(program, project, ['check', '--read-data']);
  });
}

test('in another zone the times are written otherwise: trees differ, data does not', (t) => {
  const program = ready(t, 'newest');
  if (!program) return;
  const { project, volume } = fullProject(t);
  holdfast(project.folder, ['init']);
  backUpWithRestic(program, project, volume, { TZ: 'Asia/Kathmandu' });
  const { dataBlobs, treeBlobs } = backUpWithHoldfast(project, { TZ: 'America/New_York' });
  assert.equal(dataBlobs, 0);
  assert.ok(treeBlobs > 0);
  assert.deepEqual(backUpWithRestic(program, project, volume, { TZ: 'America/New_York' }), nothing);
});

test('after a backup of the absolute path, Holdfast adds nothing: a volume is the tree of its contents', (t) => {
  const program = ready(t, 'newest');
  if (!program) return;
  const { project, volume } = fullProject(t);
  restic(program, project, ['init']);
  restic(program, project, ['backup', volume]);
  assert.deepEqual(
    newBlobs(program, project, () => assert.deepEqual(backUpWithHoldfast(project), nothing)),
    [],
  );
});

test('the same chunks as stock restic; its trees lack attributes and raw targets of symlinks, and nothing else differs', (t) => {
  const program = ready(t, 'stock');
  if (!program) return;
  const { project, volume } = fullProject(t);
  restic(program, project, ['init']);
  backUpWithRestic(program, project, volume);
  const { dataBlobs, treeBlobs } = backUpWithHoldfast(project);
  assert.equal(dataBlobs, 0);
  // `symlinks` and the root that names it.
  assert.equal(treeBlobs, 2);
  edit(volume);
  assert.ok(backUpWithHoldfast(project).dataBlobs > 3);
  const again = backUpWithRestic(program, project, volume);
  assert.deepEqual(again, { dataBlobs: 0, treeBlobs: 1 });
});
