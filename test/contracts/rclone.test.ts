import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { HoldfastError } from '../../src/model/errors.ts';
import { createRcloneStorage } from '../../src/storage/rclone.ts';
import type { FileRef, Storage } from '../../src/storage/storage.ts';
import { scratch } from '../peers.ts';
import { requireServers } from '../rclone-server.ts';
import { runStorageContract } from './storage.ts';
import { proveBothWays } from './with-restic.ts';

const pack: FileRef = { kind: 'data', name: 'ab'.repeat(32) };

function opened(t: TestContext, remote: string, options: Record<string, string> = {}): Storage {
  const storage = createRcloneStorage({ url: `rclone:${remote}`, options });
  t.after(() => storage.close?.());
  return storage;
}

/** A program that notes its process id in `pids` and becomes rclone. */
function notedRclone(folder: string): { program: string; pids: () => number[] } {
  const program = join(folder, 'noted rclone');
  const notes = join(folder, 'pids');
  writeFileSync(program, `#!/bin/sh\necho $$ >>'${notes}'\nenv >>'${notes}-environment'\nexec rclone "$@"\n`, { mode: 0o755 });
  return { program: `"${program}"`, pids: () => readFileSync(notes, 'utf8').trim().split('\n').map(Number) };
}

/** A process that is gone, or is dead and waits for its parent to notice. */
function isGone(pid: number): boolean {
  try {
    return /\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

if (requireServers()) {
  runStorageContract('rclone with a local remote', async (t) => opened(t, join(scratch(t), 'repository')));

  test('a remote of the configuration is used by its name; the child is started once, and ends with the storage', async (t) => {
    const folder = scratch(t);
    writeFileSync(join(folder, 'rclone.conf'), `[store]\ntype = alias\nremote = ${join(folder, 'store')}\n`);
    mkdirSync(join(folder, 'store'));
    const { program, pids } = notedRclone(folder);
    process.env.RESTIC_PASSWORD = 'not for rclone';
    t.after(() => delete process.env.RESTIC_PASSWORD);
    const args = `serve restic --stdio --config '${join(folder, 'rclone.conf')}'`;
    const storage = opened(t, 'store:below', { program, args });
    await storage.create();
    await Promise.all([1, 2, 3].map((byte) => storage.write({ kind: 'data', name: `0${byte}`.repeat(32) }, [Buffer.of(byte)])));
    assert.deepEqual(
      readdirSync(join(folder, 'store', 'below', 'data'))
        .sort()
        .slice(0, 3),
      ['01', '02', '03'],
    );
    await storage.close?.();
    await storage.close?.();
    assert.equal(pids().length, 1);
    assert.ok(isGone(pids()[0] as number));
    assert.doesNotMatch(readFileSync(join(folder, 'pids-environment'), 'utf8'), /not for rclone/);
  });

  test('restic and Holdfast on one repository, each by its own rclone', (t) => {
    proveBothWays(t, `rclone:${join(scratch(t), 'both')}`);
  });

  test('a child that dies is an error that says so, and the next request starts another', async (t) => {
    const folder = scratch(t);
    const { program, pids } = notedRclone(folder);
    const storage = opened(t, join(folder, 'store'), { program });
    await storage.create();
    await storage.write(pack, [Buffer.from('kept')]);
    process.kill(pids()[0] as number, 'SIGKILL');
    // It may be noticed at once, or by the request.
    await storage.read(pack).catch((error) => {
      assert.equal(error.code, 'storage');
      assert.match(error.message, /ended|closed/);
    });
    assert.equal((await storage.read(pack)).toString(), 'kept');
    assert.equal(pids().length, 2);
  });

  test('a remote that rclone does not know: its own words, and no passwords', async (t) => {
    const storage = opened(t, 'nowhere,pass=hunter22:/x');
    await assert.rejects(storage.create(), (error: HoldfastError) => {
      assert.equal(error.code, 'usage', 'to try again does not help');
      assert.match(error.message, /nowhere/);
      assert.match(error.message, /config file/);
      assert.doesNotMatch(`${error.message} ${storage.location} ${error.stack}`, /hunter22/);
      return true;
    });
  });

  test('settings of a connection string work, and show in no list of processes', async (t) => {
    const folder = scratch(t);
    const { program, pids } = notedRclone(folder);
    writeFileSync(join(folder, 'rclone.conf'), `[my_Store]\ntype = alias\nremote = /nowhere\n`);
    const place = join(folder, 'a "secret", place');
    mkdirSync(join(place, 'below'), { recursive: true });
    const quoted = `"${place.replaceAll('"', '""')}"`;
    const args = `serve restic --stdio --config '${join(folder, 'rclone.conf')}'`;
    for (const remote of [`:alias,remote=${quoted}:below`, `my_Store,remote=${quoted}:below`]) {
      const storage = opened(t, remote, { program, args });
      await storage.create();
      await storage.write(pack, [Buffer.from(remote)]);
      const shown = readFileSync(`/proc/${pids().at(-1)}/cmdline`, 'utf8');
      assert.match(shown, /serve.*below/s);
      assert.doesNotMatch(`${shown} ${storage.location}`, /secret/);
      assert.equal(readFileSync(join(place, 'below', 'data', 'ab', pack.name), 'utf8'), remote);
    }
  });

  test('a storage that was not closed keeps no process alive', (t) => {
    const module = join(import.meta.dirname, '..', '..', 'src', 'storage', 'rclone.ts');
    const code = `
      const { createRcloneStorage } = await import(${JSON.stringify(module)});
      const storage = createRcloneStorage({ url: ${JSON.stringify(`rclone:${scratch(t)}/store`)} });
      await storage.create();
      for await (const file of storage.list('data')) console.log(file);
      console.log('listed');`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', timeout: 20_000 });
    assert.deepEqual([run.status, run.stdout, run.stderr], [0, 'listed\n', '']);
  });

  test('the child does not outlive a process that is killed', async (t) => {
    const folder = scratch(t);
    const { program, pids } = notedRclone(folder);
    const module = join(import.meta.dirname, '..', '..', 'src', 'storage', 'rclone.ts');
    const code = `
      const { createRcloneStorage } = await import(${JSON.stringify(module)});
      const storage = createRcloneStorage({ url: ${JSON.stringify(`rclone:${folder}/store`)}, options: { program: ${JSON.stringify(program)} } });
      await storage.create();
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => parent.kill('SIGKILL'));
    await once(parent.stdout, 'data');
    const child = pids()[0] as number;
    assert.equal(isGone(child), false);
    // The child holds its end of the pipe as long as it lives.
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await waitUntil(() => isGone(child));
  });
}

async function waitUntil(condition: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadlineMs, 'in time');
    await new Promise(setImmediate);
  }
}

test('a program that is not installed is named, with how to get rclone', async (t) => {
  const storage = opened(t, 'remote:x', { program: 'no-such-rclone' });
  await assert.rejects(storage.create(), {
    code: 'unsupported',
    message: /no-such-rclone is not installed/,
    remedy: /apt-get install rclone/,
  });
});

test('what is no remote, and options that there are not, are refused before anything is started', () => {
  for (const url of ['rclone:', 'rclone:--config=/x']) assert.throws(() => createRcloneStorage({ url }), { code: 'usage' });
  assert.throws(() => createRcloneStorage({ url: 'rclone:a:b', options: { programme: 'rclone' } }), {
    code: 'usage',
    message: /programme/,
  });
});
