/** A storage of whose operations some fail, whichever: with retries around it, backups, restores and prunes complete, and nothing is lost. */
import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startLanes } from '../../src/engine/lanes/pool.ts';
import { restoreVolume } from '../../src/engine/restore/restore.ts';
import type { StoredSnapshot } from '../../src/model/snapshot.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { resticVersions } from '../peers.ts';
import { backUpInProcess } from './engine.ts';
import { flakyStorage } from './flaky-storage.ts';
import { assertSameManifest, createProject, manifest, openProject, type Project, randomBytesOf, runRestic } from './project.ts';
import { forget, pruneInProcess } from './prune-support.ts';
import { injectFault } from './with-faults.ts';

const laneEntry = new URL('./flaky-lane.ts', import.meta.url);
const runs = 20;
const filesEach = 500;
const rate = 0.01;

const flaky = ({ repository }: Project) => ({ storage: flakyStorage(repository), laneEntry, lanes: 2 });

async function restores(project: Project): Promise<void> {
  const repository = await openProject(project, flakyStorage(project.repository));
  const index = await loadIndex(repository);
  const { config, masterKey } = repository;
  const start = {
    job: 'restore',
    address: { url: project.repository },
    config,
    masterKey,
    index: index.memory,
    settings: undefined,
  } as const;
  const lanes = startLanes({ entry: laneEntry, count: 2, start, onNotice: () => undefined });
  const target = join(project.folder, 'restored');
  try {
    const { problems } = await restoreVolume({
      repository,
      index,
      lanes,
      snapshot: (await listSnapshots(repository)).at(-1) as StoredSnapshot,
      volume: 'data',
      target,
      overwrite: 'always',
      delete: true,
      verify: true,
      dryRun: false,
      report: () => undefined,
      signal: new AbortController().signal,
    });
    assert.equal(problems, 0);
  } finally {
    await lanes.close();
  }
  assertSameManifest(manifest(target), manifest(project.volume), 'the restored volume');
}

/** Many small packs: of every operation there are many. */
async function work(t: TestContext, project: Project): Promise<void> {
  const made: string[] = [];
  for (let run = 0; run < runs; run++) {
    for (let n = 0; n < filesEach; n++) writeFileSync(join(project.volume, `${run}-${n}`), randomBytesOf(`${run} ${n}`, 200 + n));
    const { snapshots } = await backUpInProcess(project, flaky(project));
    made.push(snapshots[0]?.id as string);
  }
  await restores(project);
  for (let run = 0; run < runs; run++) for (let n = 0; n < filesEach; n += 3) rmSync(join(project.volume, `${run}-${n}`));
  await backUpInProcess(project, flaky(project));
  for (const id of made) forget(project, id);
  const { packsWritten } = await pruneInProcess(project, flaky(project));
  t.diagnostic(`packs before the prune: ${runs * 2} or more, written by it: ${packsWritten}`);
  await restores(project);
}

test(`backups, restores and a prune of ${runs * filesEach} blobs complete while ${rate * 100}% of all operations fail`, async (t) => {
  const project = createProject(t);
  const log = injectFault({ rate, seed: 42 });
  try {
    await work(t, project);
  } finally {
    injectFault(undefined);
  }
  const operations = [...log.counts().values()].reduce((sum, count) => sum + count, 0);
  t.diagnostic(`operations: ${operations}, of which failed: ${log.struck()}; ${JSON.stringify(Object.fromEntries(log.counts()))}`);
  assert.ok(log.struck() >= 5, `${log.struck()} faults`);
  assert.deepEqual(readdirSync(join(project.repository, 'locks')), []);
  for (const restic of resticVersions().slice(-1)) runRestic(restic, project, ['check', '--read-data']);
});
