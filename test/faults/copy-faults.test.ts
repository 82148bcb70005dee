/** Copies from damaged sources, to destinations that fill up, and copies that are killed. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkRepository } from '../../src/engine/maintenance/check.ts';
import { type CopyResult, copySnapshots } from '../../src/engine/maintenance/copy.ts';
import type { CheckFinding, EngineEvent } from '../../src/model/events.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { resticVersions, scratch } from '../peers.ts';
import { laneEntry } from '../scratch-backup.ts';
import { scratchRepository } from '../scratch-repository.ts';
import { mountDisk } from '../small-disk.ts';
import {
  assertClean,
  assertSameManifest,
  backup,
  changeVolume,
  createProject,
  ended,
  filesOf,
  fillVolume,
  holdfast,
  killGroup,
  manifest,
  type Project,
  type Run,
  randomBytesOf,
  randomNumbers,
  runRestic,
  start,
} from './project.ts';
import { makeSmallRepository, packFile, type SmallRepository } from './small-repository.ts';

type Copied = CopyResult & { findings: CheckFinding[]; check: () => Promise<number> };

/** Copies a small repository to a new one. */
async function copySmall(t: TestContext, small: SmallRepository): Promise<Copied> {
  const [source, destination] = [await small.open(), await scratchRepository(t)];
  const events: EngineEvent[] = [];
  const result = await copySnapshots({
    source: { repository: source, address: { url: small.folder }, index: await loadIndex(source) },
    destination: { repository: destination, address: { url: destination.folder }, index: await loadIndex(destination) },
    snapshots: await listSnapshots(source),
    present: [],
    volumeOf: () => 'volume',
    laneEntry,
    lanes: 2,
    dryRun: false,
    report: (event) => events.push(event),
    signal: new AbortController().signal,
    clock: { now: () => new Date(), sleep: async () => undefined },
  });
  const findings = events.flatMap((event) => (event.event === 'finding' ? [event.finding] : []));
  const check = async () => {
    const address = { url: destination.folder };
    const signal = new AbortController().signal;
    const options = { repository: destination, address, laneEntry, lanes: 1, readData: { select: 'all' }, signal } as const;
    return (await checkRepository({ ...options, report: () => undefined })).errors;
  };
  return { ...result, findings, check };
}

const outcomes = ({ snapshots }: CopyResult) => snapshots.map(({ outcome }) => outcome);
const paths = (findings: readonly CheckFinding[]) => findings.flatMap(({ affects }) => affects.flatMap((affected) => affected.paths));

test('a damaged blob: its snapshot is named and left out, the others are copied', async (t) => {
  const small = await makeSmallRepository(t);
  const { pack, offset } = await small.placeOf('noise.bin');
  small.damage(pack, (bytes) => {
    bytes.writeUInt8(bytes.readUInt8(offset + 20) ^ 1, offset + 20);
    return undefined;
  });
  const copied = await copySmall(t, small);
  assert.equal(copied.exitCode, 1);
  const holders = new Set(copied.findings.flatMap(({ affects }) => affects.map(({ snapshot }) => snapshot)));
  assert.ok(holders.size >= 1 && holders.size < copied.snapshots.length, 'one has the file, another has not');
  for (const { source, outcome } of copied.snapshots) assert.equal(outcome, holders.has(source) ? 'damaged' : 'copied');
  const [finding] = copied.findings;
  assert.equal(copied.findings.length, 1);
  assert.deepEqual([finding?.kind, finding?.file, paths(copied.findings)], ['blob-damaged', packFile(pack), ['noise.bin']]);
  assert.equal(await copied.check(), 0);
});

test('a pack of trees that is missing, a blob that no index names: nothing incomplete is saved', async (t) => {
  const original = await makeSmallRepository(t);
  for (const damage of [
    async (small: SmallRepository) => small.remove(await small.packOf('tree')),
    async (small: SmallRepository) => {
      const { id } = await small.placeOf('common.txt');
      await small.rewriteIndex(({ packs }) => {
        for (const pack of packs) pack.blobs = pack.blobs.filter((blob) => blob.id !== id);
      });
    },
  ]) {
    const small = original.copy(t);
    await damage(small);
    const copied = await copySmall(t, small);
    assert.equal(copied.exitCode, 1);
    assert.ok(outcomes(copied).includes('damaged'));
    assert.ok(copied.findings.some(({ severity }) => severity === 'error'));
    assert.equal(await copied.check(), 0);
  }
});

test('a blob with an intact copy elsewhere in the source is copied from there', async (t) => {
  const small = await makeSmallRepository(t);
  const { pack, id } = await small.placeOf('common.txt');
  const document = await small.index();
  const from = document.packs.find(({ id: name }) => pack.endsWith(name));
  const blob = from?.blobs.find((candidate) => candidate.id === id);
  assert.ok(from && blob);
  // An index that also puts it where it is not.
  await small.addIndex({ packs: [{ id: 'ab'.repeat(32), blobs: [{ ...blob, offset: 0 }] }] });
  const copied = await copySmall(t, small);
  assert.deepEqual(new Set(outcomes(copied)), new Set(['copied']));
  assert.equal(await copied.check(), 0);
});

/** Another project's repository, for copies of the first. */
function destinationOf(t: TestContext, source: Project, repository?: string): Project {
  const folder = scratch(t);
  mkdirSync(join(folder, 'volume'));
  const extra = repository === undefined ? [] : ['--repository', repository];
  const from = ['--copy-chunker-params', '--from', source.repository, '--from-password-file', source.keyFile];
  holdfast(folder, ['init', '--volume', 'data=volume', ...extra, ...from]);
  const made = { folder, volume: join(folder, 'volume'), keyFile: join(folder, 'holdfast.key') };
  return { ...made, repository: repository ?? join(folder, 'holdfast-repository') };
}

const copyArgs = (source: Project) => ['copy', '--json', '--all', '--from', source.repository, '--from-password-file', source.keyFile];

/** Ends a run by force so long after it has locked its destination, when its work begins. */
async function struckSoonAfterLocking(child: ChildProcess, { repository }: Project, afterMs: number): Promise<Run> {
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(join(repository, 'locks'), () => {
    timer ??= setTimeout(() => killGroup(child, 'SIGKILL'), afterMs);
  });
  try {
    return await ended(child);
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}

const kills = Number(process.env.HOLDFAST_COPY_KILLS ?? 12);

test(`copies killed ${kills} times leave a sound destination, and the next one carries on`, async (t) => {
  const random = randomNumbers(Number(process.env.HOLDFAST_KILL_SEED ?? 1));
  const source = createProject(t);
  fillVolume(source.volume, 30_000_000, 'copy');
  await backup(source.folder);
  for (let step = 0; step < 3; step++) {
    changeVolume(source.volume, step, random);
    await backup(source.folder);
  }
  const destination = destinationOf(t, source);
  const ends = { killed: 0, completed: 0 };
  for (let run = 0; ends.killed < kills; run++) {
    assert.ok(run < kills * 8, 'runs end before they are killed');
    const child = start(destination.folder, copyArgs(source));
    const { code, signal } = await struckSoonAfterLocking(child, destination, random() * 500);
    ends[signal === 'SIGKILL' ? 'killed' : 'completed']++;
    if (signal === 'SIGKILL') {
      if (ends.killed % 5 === 0) assertClean(destination, { restics: [] });
      continue;
    }
    assert.equal(code, 0);
    // From the beginning again.
    for (const kind of ['snapshots', 'index', 'data']) {
      rmSync(join(destination.repository, kind), { recursive: true });
      mkdirSync(join(destination.repository, kind));
    }
  }
  const last = await ended(start(destination.folder, copyArgs(source)));
  assert.equal(last.code, 0, last.stderr);
  assert.equal(filesOf(destination, 'snapshots').length, 4);
  assertClean(destination, { readData: true });
  const newest = last.events.flatMap((event) => (event.event === 'snapshot-copied' ? [event.id as string] : [])).at(-1) as string;
  holdfast(destination.folder, ['restore', 'data', '--at', newest, '--to', join(destination.folder, 'restored'), '--verify']);
  assertSameManifest(manifest(join(destination.folder, 'restored')), manifest(source.volume), 'the copy');
  const [restic] = resticVersions();
  if (restic) runRestic(restic, destination, ['check']);
  t.diagnostic(`copies killed: ${ends.killed}, ended before: ${ends.completed}`);
});

test('a destination that fills up: a clear error; with more room, what was copied is not copied again', async (t) => {
  const disk = mountDisk(t, '24m');
  if (disk === undefined) return;
  const source = createProject(t);
  for (let n = 0; n < 12; n++) writeFileSync(join(source.volume, `random-${n}`), randomBytesOf(`full ${n}`, 4_000_000));
  await backup(source.folder);
  const destination = destinationOf(t, source, join(disk.folder, 'repository'));
  const full = await ended(start(destination.folder, [...copyArgs(source), '--lanes', '1']));
  assert.equal(full.code, 1);
  assert.match(full.stderr, /"code":"storage-full"/);
  assertClean(destination, { restics: [] });
  assert.deepEqual(filesOf(destination, 'snapshots'), []);
  disk.remount('size=100m');
  const rest = await ended(start(destination.folder, copyArgs(source)));
  assert.equal(rest.code, 0, rest.stderr);
  const total = rest.events.find((event) => 'sourceBytes' in event) as unknown as { sourceBytes: number };
  assert.ok(total.sourceBytes < 40_000_000, `${total.sourceBytes} bytes of 48 million were copied again`);
  assertClean(destination, { readData: true });
});
