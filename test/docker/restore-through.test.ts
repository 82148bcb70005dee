/** Restores into volumes of an Engine whose directories are not reached from here. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { makeAwkwardTree } from '../awkward-tree.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { requirePeer } from '../peers.ts';
import { differences, holdfastProgram } from '../programs.ts';
import { asAnotherHost } from './through-engine.ts';
import { dockerProject } from './volumes-project.ts';

test('restores through the Engine', async (t) => {
  const rsync = requirePeer(t, 'rsync');
  const setfacl = requirePeer(t, 'setfacl');
  const engine = rsync && setfacl ? await startDockerEngine(t) : undefined;
  if (engine === undefined || rsync === undefined || setfacl === undefined) return;
  importImage(engine, 'busybox');
  const { docker, directoryOf } = engine;
  const { folder, environment, holdfast, put } = await dockerProject(t, engine, ['data', 'odd']);
  const remote = ['--docker-host', await asAnotherHost(t, engine)];
  const read = (volume: string, path: string) => readFileSync(join(directoryOf(volume), path), 'utf8');
  const isRunning = (name: string) => docker('inspect', '--format', '{{.State.Running}}', name) === 'true';
  const marker = (volume: string) => join(directoryOf(volume), '.holdfast-restore.json');
  const helpers = () => docker('ps', '--all', '--quiet', '--filter', 'label=holdfast.helper');
  const succeed = async (...argv: string[]) => {
    const said = await holdfast(...argv);
    assert.equal(said.exit, exitCodes.done, said.stderr + said.stdout);
    return said;
  };
  put('data', 'deep/kept', 'as it was');
  put('data', 'other', 'as it was');
  makeAwkwardTree(directoryOf('shop_odd'), { asRoot: true });
  // What is in it was there before its default ACL, and has none.
  put('odd', 'handing down/plain', 'x');
  mkdirSync(join(directoryOf('shop_odd'), 'handing down', 'folder'));
  execFileSync(setfacl, ['-m', 'd:u:1234:rwx', join(directoryOf('shop_odd'), 'handing down')]);
  await succeed('backup');

  await t.test('everything that tar archives carry comes back, and is verified', async () => {
    const { exit, stderr, stdout } = await holdfast('restore', 'odd', '--to-volume', 'copy', '--verify', '--json', ...remote);
    assert.equal(exit, exitCodes.incomplete, stderr + stdout);
    assert.match(stdout, /"verified":true/);
    assert.doesNotMatch(stdout, /access control lists/);
    assert.match(stdout, /attributes without a value are not restored/);
    // An empty attribute; times before 1970.
    const left = differences(rsync, directoryOf('shop_odd'), directoryOf('copy'))
      .split('\n')
      .map((line) => line.replace(/^\S+ /, ''));
    const lost = ['attributes/file', 'times/-1.999999999', 'times/-2000000000.5'];
    assert.deepEqual(left.sort(), lost.sort());
    assert.equal(helpers(), '');
  });

  await t.test('where ACLs may not be kept, they are left out, and let nobody in', async () => {
    const device = join(folder, 'device');
    mkdirSync(device);
    docker('volume', 'create', '--opt', 'type=none', '--opt', 'o=bind', '--opt', `device=${device}`, 'bound');
    const { exit, stdout } = await holdfast(
      'restore',
      'odd',
      '--path',
      'attributes',
      '--to-volume',
      'bound',
      '--verify',
      '--json',
      ...remote,
    );
    assert.equal(exit, exitCodes.incomplete);
    assert.match(stdout, /"verified":true/);
    assert.match(stdout, /access control lists are not restored/);
    assert.equal(lstatSync(join(device, 'attributes/with acl')).mode & 0o070, 0o040);
    docker('volume', 'rm', 'bound');
  });

  await t.test('in place: stopped, guarded, emptied with --delete, started; and the undo', async () => {
    docker(
      ...['run', '--detach', '--name', 'app', '--network', 'none', '--stop-timeout', '0', '--volume', 'shop_data:/data'],
      ...['busybox:test', 'sh', '-c', 'trap exit TERM; sleep 1000 & wait'],
    );
    put('data', 'other', 'spoiled');
    put('data', 'stale/file', 'made since');
    const before = lstatSync(join(directoryOf('shop_data'), 'other')).ino;
    const dry = await succeed('restore', 'data', '--delete', '--dry-run', ...remote);
    assert.match(dry.stdout, /would write shop_data anew through the Engine \(2 files, 18 B\)[\s\S]*would stop container app/);
    assert.equal(lstatSync(join(directoryOf('shop_data'), 'other')).ino, before);
    const { stdout } = await succeed('restore', 'data', '--delete', '--verify', ...remote);
    assert.equal(read('shop_data', 'other'), 'as it was');
    assert.ok(!existsSync(join(directoryOf('shop_data'), 'stale')) && !existsSync(marker('shop_data')));
    assert.ok(isRunning('app'));
    const undo = /to undo the restore: holdfast (.*)$/m.exec(stdout)?.[1] as string;
    await succeed(...undo.split(' '));
    assert.equal(read('shop_data', 'other'), 'spoiled');
    assert.equal(read('shop_data', 'stale/file'), 'made since');
    assert.equal(helpers(), '');
  });

  await t.test('a part, while the rest stays; never through a symlink', async () => {
    put('data', 'deep/kept', 'spoiled');
    put('data', 'deep/beside', 'made since');
    await succeed('restore', 'data', '--path', 'deep/kept', '--verify', ...remote);
    assert.deepEqual([read('shop_data', 'deep/kept'), read('shop_data', 'deep/beside')], ['as it was', 'made since']);
    await succeed('restore', 'data', '--path', 'deep', '--delete', '--no-guard', ...remote);
    assert.deepEqual(readdirSync(join(directoryOf('shop_data'), 'deep')), ['kept']);
    assert.equal(read('shop_data', 'other'), 'spoiled');
    rmSync(join(directoryOf('shop_data'), 'deep'), { recursive: true });
    await succeed('restore', 'data', '--path', 'deep/kept', ...remote);
    assert.equal(read('shop_data', 'deep/kept'), 'as it was');
    renameSync(join(directoryOf('shop_data'), 'deep'), join(directoryOf('shop_data'), 'elsewhere'));
    mkdirSync(join(folder, 'outside'));
    symlinkSync(join(folder, 'outside'), join(directoryOf('shop_data'), 'deep'));
    const refused = await holdfast('restore', 'data', '--path', 'deep/kept', '--no-guard', ...remote);
    assert.match(refused.stderr, /a symlink, or something else that is no directory, is in the way/);
    assert.deepEqual(readdirSync(join(folder, 'outside')), []);
    assert.match((await holdfast('restore', 'data', '--overwrite', 'never', ...remote)).stderr, /needs the directory of volume data/);
  });

  // The archives that a restore with --delete has unpacked, in their order.
  for (const [number, step] of ['marker', 'emptying', 'marker again', 'content', 'marker off', 'root'].entries()) {
    if (step !== 'content' && process.env.HOLDFAST_TEST_KILLS === undefined) continue;
    await t.test(`killed before "${step}": nobody takes it for whole, and run again it is`, async (st) => {
      put('data', 'fresh', 'made since');
      let kill = () => {};
      const host = await asAnotherHost(st, engine, (archive) => {
        if (archive <= number) return true;
        kill();
        return false;
      });
      const child = spawn(holdfastProgram, ['restore', 'data', '--delete', '--docker-host', host], {
        cwd: folder,
        env: environment,
        stdio: 'ignore',
      });
      kill = () => child.kill('SIGKILL');
      assert.equal(await new Promise((resolve) => child.once('close', (_, signal) => resolve(signal))), 'SIGKILL');
      assert.ok(!isRunning('app'));
      assert.equal(existsSync(marker('shop_data')), ['emptying', 'content', 'marker off'].includes(step));
      if (step === 'content') {
        for (const where of [[], remote]) {
          const { exit, stdout, stderr } = await holdfast('backup', 'data', ...where);
          assert.equal(exit, exitCodes.failed);
          assert.match(stderr + stdout, /unfinished restore/);
        }
      }
      await succeed('restore', 'data', '--delete', ...remote);
      assert.deepEqual(readdirSync(directoryOf('shop_data')).sort(), ['deep', 'other']);
      assert.equal(read('shop_data', 'deep/kept'), 'as it was');
      assert.ok(isRunning('app'));
      assert.equal(helpers(), '', 'those of the killed run are removed');
    });
  }

  await t.test('a volume without room, and one in memory', async (st) => {
    docker('volume', 'create', 'tiny');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directoryOf('tiny')]);
    st.after(() => execFileSync('umount', [directoryOf('tiny')]));
    writeFileSync(join(directoryOf('shop_data'), 'large'), Buffer.alloc(300_000, 'x'));
    await succeed('backup', 'data');
    const { stderr } = await holdfast('restore', 'data', '--to-volume', 'tiny', ...remote);
    assert.match(stderr, /no space left on device[\s\S]*make room/);
    docker('volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs', 'memory');
    assert.match((await holdfast('restore', 'data', '--to-volume', 'memory', ...remote)).stderr, /memory is in memory/);
  });
});
