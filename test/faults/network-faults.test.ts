/** Repositories behind a network that fails: backups, restores and prunes complete, and nothing is lost. And how often the storage is asked. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { resticVersions, scratch } from '../peers.ts';
import { requireServers, serveRestic } from '../rclone-server.ts';
import { type FaultProxy, networkFaults, startFaultProxy } from './fault-proxy.ts';
import {
  assertSameManifest,
  createProject,
  ended,
  fillVolume,
  manifest,
  type Project,
  type Run,
  randomBytesOf,
  randomNumbers,
  runRestic,
  start,
} from './project.ts';

type Remote = Project & {
  proxy: FaultProxy;
  cache: string;
  begin: (...args: string[]) => ChildProcess;
  run: (...args: string[]) => Promise<Run>;
  /** Kills the server, and starts another at the same place. */
  restart: () => Promise<unknown>;
};

/** A project whose repository is a folder, which commands reach through a server and the proxy. */
async function remoteProject(t: TestContext): Promise<Remote> {
  const project = createProject(t);
  const server = await serveRestic(t, project.repository);
  const proxy = await startFaultProxy(t, server.url);
  const cache = scratch(t);
  const global = ['--json', '--repository', `rest:${proxy.url}`, '--password-file', project.keyFile, '--cache-dir', cache];
  const begin = (...args: string[]) => start(project.folder, [...global, ...args]);
  const restart = async () => {
    await server.kill();
    return serveRestic(t, project.repository, { port: Number(server.url.port) });
  };
  return { ...project, proxy, cache, begin, run: (...args) => ended(begin(...args)), restart };
}

function succeeded({ code, stderr }: Run): void {
  assert.equal(code, 0, stderr);
}

/** Every file of a volume is a blob or more. */
function fillWithBlobs(volume: string, count: number): void {
  for (let n = 0; n < count; n++) writeFileSync(join(volume, `blob-${n}`), randomBytesOf(`blob ${n}`, 200 + (n % 800)));
}

async function restores({ folder, volume, run }: Remote, target: string): Promise<void> {
  succeeded(await run('restore', '--to', join(folder, target), '--verify'));
  const [only] = readdirSync(join(folder, target));
  const restored = only === 'data' ? join(folder, target, only) : join(folder, target);
  assertSameManifest(manifest(restored), manifest(volume), 'the restored volume');
}

/** The newest restic finds nothing wrong with any byte. */
function assertSound(project: Project): void {
  for (const restic of resticVersions().slice(-1)) runRestic(restic, project, ['check', '--read-data', '--no-lock']);
  assert.deepEqual(readdirSync(join(project.repository, 'locks')), []);
}

const opening = /^(GET|HEAD) \/(config|keys\/.*)$/;
/** What a command asked beyond opening the repository. */
const askedFor = ({ proxy }: Remote): string[] => proxy.asked.splice(0).filter((what) => !opening.test(what));

if (requireServers()) {
  test('init makes a repository through a network that fails', async (t) => {
    const folder = scratch(t);
    mkdirSync(join(folder, 'volume'));
    const proxy = await startFaultProxy(t, (await serveRestic(t, join(folder, 'repository'))).url);
    const random = randomNumbers(5);
    proxy.faults(() => (random() < 0.4 ? networkFaults[Math.floor(random() * networkFaults.length)] : undefined));
    succeeded(await ended(start(folder, ['--json', '--repository', `rest:${proxy.url}`, 'init', '--volume', 'data=volume'])));
    assert.ok([...proxy.struck.values()].reduce((sum, count) => sum + count, 0) >= 3);
    proxy.faults(() => undefined);
    const { code, stderr } = await ended(start(folder, ['--no-cache', 'snapshots']));
    assert.equal(code, 0, stderr);
  });

  test('a backup that changes nothing asks the storage ten times at most, whatever the size of the repository', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 1_000_000, 'round trips');
    succeeded(await project.run('backup'));
    writeFileSync(join(project.volume, 'later'), 'later');
    succeeded(await project.run('backup'));
    askedFor(project);
    succeeded(await project.run('backup'));
    const asked = askedFor(project);
    t.diagnostic(asked.join(', '));
    assert.ok(asked.length <= 10, asked.join('\n'));
    assert.ok(!asked.some((what) => what.includes('/data/')), 'nothing is read from packs');
  });

  test('a cache that is damaged or lost costs time only', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 500_000, 'cache');
    succeeded(await project.run('backup'));
    const files = readdirSync(project.cache, { recursive: true, encoding: 'utf8' }).filter((name) => /[0-9a-f]{64}$/.test(name));
    const cached = files.filter((name) => name.split('/').length === 3).map((name) => join(project.cache, name));
    assert.ok(cached.length >= 3, files.join('\n'));
    const random = randomNumbers(7);
    for (const path of cached) random() < 0.5 ? truncateSync(path, 50) : writeFileSync(path, randomBytesOf(path, 1000));
    succeeded(await project.run('backup'));
    for (const path of cached) rmSync(path);
    succeeded(await project.run('check'));
    await restores(project, 'restored');
    assertSound(project);
  });

  // flaky-storage.test.ts does the same with many more operations, without a network.
  test('backup, restore and prune complete while 5% of what is asked fails', async (t) => {
    const blobs = 2000;
    const project = await remoteProject(t);
    fillWithBlobs(project.volume, blobs);
    const random = randomNumbers(1);
    project.proxy.faults(() => (random() < 0.05 ? networkFaults[Math.floor(random() * networkFaults.length)] : undefined));
    succeeded(await project.run('backup', '--class', 'scheduled'));
    for (let n = 0; n < blobs; n += 3) rmSync(join(project.volume, `blob-${n}`));
    succeeded(await project.run('backup', '--class', 'scheduled'));
    succeeded(await project.run('forget', '--keep-last', '1', '--force'));
    succeeded(await project.run('prune', '--max-unused', '0'));
    await restores(project, 'restored');
    t.diagnostic(`${project.proxy.asked.length} requests; faults: ${JSON.stringify(Object.fromEntries(project.proxy.struck))}`);
    assertSound(project);
  });

  test('every kind of fault, a fifth of all requests', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 2_000_000, 'faults');
    const random = randomNumbers(3);
    let next = 0;
    project.proxy.faults(() => (random() < 0.2 ? networkFaults[next++ % networkFaults.length] : undefined));
    succeeded(await project.run('backup'));
    fillVolume(project.volume, 1_000_000, 'changed');
    succeeded(await project.run('--no-cache', 'backup'));
    succeeded(await project.run('check', '--read-data'));
    await restores(project, 'restored');
    t.diagnostic(`${project.proxy.asked.length} requests; faults: ${JSON.stringify(Object.fromEntries(project.proxy.struck))}`);
    assert.deepEqual([...project.proxy.struck.keys()].sort(), [...networkFaults].sort());
    assertSound(project);
  });

  test('permission lost and quota exceeded halfway: a clear error at once, nothing lost, the next run carries on', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 300_000, 'first');
    succeeded(await project.run('backup'));
    const cases = [
      ['denied', 'storage-denied', /^POST \/data\//],
      ['denied', 'storage-denied', /^POST \/snapshots\//],
      ['full', 'storage-full', /^POST \/data\//],
      ['full', 'storage-full', /^POST \/index\//],
    ] as const;
    for (const [fault, code, from] of cases) {
      fillVolume(project.volume, 300_000, `${fault} ${from}`);
      let lost = false;
      project.proxy.faults((what) => {
        lost ||= from.test(what);
        // Who may write no more may still remove a lock.
        return lost && what.startsWith('POST') ? fault : undefined;
      });
      const { code: exit, stderr } = await project.run('backup');
      assert.equal(exit, 1);
      assert.match(stderr, new RegExp(`"code":"${code}"`));
      project.proxy.faults(() => undefined);
    }
    succeeded(await project.run('backup'));
    await restores(project, 'restored');
    assertSound(project);
  });

  test('listings that show what was there before do no harm', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 300_000, 'first');
    succeeded(await project.run('backup'));
    project.proxy.faults(() => 'stale');
    for (const seed of ['second', 'third']) {
      fillVolume(project.volume, 300_000, seed);
      succeeded(await project.run('backup'));
    }
    project.proxy.faults(() => undefined);
    succeeded(await project.run('backup'));
    await restores(project, 'restored');
    assertSound(project);
  });

  test('an interruption ends the waiting for a storage that is gone', async (t) => {
    const project = await remoteProject(t);
    // Lanes store packs that are full, the main thread the rest: here it is a lane that waits.
    fillVolume(project.volume, 24_000_000, 'first');
    let gone = false;
    project.proxy.faults((what) => {
      gone ||= what.startsWith('POST /data/');
      return gone ? 'cut' : undefined;
    });
    const child = project.begin('backup', '--lanes', '1');
    child.stdout?.on('data', (text) => {
      if (String(text).includes('storage-retry')) child.kill('SIGINT');
    });
    const startedMs = performance.now();
    const { code, events } = await ended(child);
    assert.equal(code, 130);
    assert.ok(events.some((event) => event.event === 'storage-retry' && event.what.startsWith('writing data/')));
    assert.ok(performance.now() - startedMs < 300_000);
    project.proxy.faults(() => undefined);
    succeeded(await project.run('unlock', '--remove-all'));
    succeeded(await project.run('backup'));
    assertSound(project);
  });

  test('limits hold, in the main thread and in lanes', async (t) => {
    const project = await remoteProject(t);
    writeFileSync(join(project.volume, 'random'), randomBytesOf('limits', 2_000_000));
    const durationOf = (run: Run): number => {
      succeeded(run);
      return run.events.find((event) => event.event === 'run-finished')?.durationMs ?? 0;
    };
    // A quarter of a second's worth goes at once.
    assert.ok(durationOf(await project.run('--limit-upload', '1M', 'backup')) >= 1700);
    const target = join(project.folder, 'restored');
    assert.ok(durationOf(await project.run('--limit-download', '1M', 'restore', '--to', target)) >= 1700);
  });

  test('a server that is started anew is found again', async (t) => {
    const project = await remoteProject(t);
    fillVolume(project.volume, 300_000, 'first');
    let restarting: Promise<unknown> | undefined;
    project.proxy.faults((what) => {
      if (what.startsWith('POST /data/')) restarting ??= project.restart();
      return undefined;
    });
    succeeded(await project.run('backup'));
    await restarting;
    assert.ok(restarting);
    await restores(project, 'restored');
    assertSound(project);
  });
}
