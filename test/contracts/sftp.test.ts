import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { createSftpStorage } from '../../src/storage/sftp.ts';
import type { FileRef, Storage } from '../../src/storage/storage.ts';
import { requirePeer, requireRestic, requireRoot, scratch } from '../peers.ts';
import { holdfast, run } from '../programs.ts';
import { makeKey, requireSshServer, type SftpServer, serveSftp } from '../sftp-server.ts';
import { runStorageContract } from './storage.ts';
import { proveBothWays } from './with-restic.ts';

const name = 'ab'.repeat(32);
const pack: FileRef = { kind: 'data', name };
const mebibyte = 1024 * 1024;

function opened(t: TestContext, { host, args }: SftpServer, path: string, options: Record<string, string> = {}): Storage {
  const storage = createSftpStorage({ url: `sftp:${host}:${path}`, options: { args, ...options } });
  t.after(() => storage.close?.());
  return storage;
}

async function listed(storage: Storage): Promise<string[]> {
  const names: string[] = [];
  for await (const file of storage.list('data')) names.push(file.name);
  return names;
}

/** Everything below a folder that is no folder. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

async function waitUntil(condition: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadlineMs, 'in time');
    await new Promise(setImmediate);
  }
}

/** A process that is gone, or is dead and waits for its parent to notice. */
function isGone(pid: number): boolean {
  try {
    return /\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

if (requireSshServer()) {
  const whole = { after: (end: () => void) => after(end) } as Pick<TestContext, 'after'>;
  const server = await serveSftp(whole, scratch(whole));

  runStorageContract('OpenSSH', async (t) => opened(t, server, join(scratch(t), 'below', 'repository')));

  test('a server with neither fsync nor a rename that replaces keeps what is there', async (t) => {
    const poor = await serveSftp(t, scratch(t), { subsystem: 'internal-sftp -P posix-rename,fsync,statvfs' });
    const storage = opened(t, poor, join(scratch(t), 'repository'));
    await storage.create();
    await storage.write(pack, [Buffer.from('pack')]);
    await storage.write(pack, [Buffer.from('pa'), Buffer.from('ck')]);
    await assert.rejects(storage.write(pack, [Buffer.from('longer')]), { name: 'HoldfastError' });
    assert.equal((await storage.read(pack)).toString(), 'pack');
    assert.deepEqual(await listed(storage), [name]);
  });

  test('a file is flushed before it gets its name, and its folder after that', async (t) => {
    const strace = requirePeer(t, 'strace');
    if (strace === undefined) return;
    const folder = scratch(t);
    const program = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server'].find((path) => existsSync(path));
    assert.ok(program, 'sshd comes with an sftp-server');
    const command = `${strace} -f -y -e trace=write,pwrite64,fsync,rename -o ${join(folder, 'trace')} ${program}`;
    const storage = createSftpStorage({ url: `sftp:here:${join(folder, 'repository')}`, options: { command } });
    await storage.create();
    await storage.write(pack, [Buffer.from('pack')]);
    await storage.close?.();
    const calls = readFileSync(join(folder, 'trace'), 'utf8').matchAll(
      /(write|fsync|rename)[^(]*\([^\n]*?(data\/ab(?:\/[0-9a-f]{64}(-tmp)?)?)/g,
    );
    assert.deepEqual(
      [...calls].map(([, call, path, temporary]) => `${call} ${temporary ? 'temporary' : path}`),
      ['write temporary', 'fsync temporary', 'rename temporary', 'fsync data/ab'],
    );
  });

  test("the layout is restic's; nobody else can read it", async (t) => {
    const root = join(scratch(t), 'deep', 'repository');
    const storage = opened(t, server, root);
    await storage.create();
    await storage.write(pack, [Buffer.from('pack')]);
    await storage.write({ kind: 'config', name: '' }, [Buffer.from('config')]);
    assert.deepEqual(readdirSync(root).sort(), ['config', 'data', 'index', 'keys', 'locks', 'snapshots']);
    assert.equal(readFileSync(join(root, 'data', 'ab', name), 'utf8'), 'pack');
    assert.equal(readdirSync(join(root, 'data')).length, 256);
    assert.equal(statSync(join(root, 'data', 'ab', name)).mode & 0o777, 0o600);
    for (const folder of ['', 'data', 'data/ab', 'keys']) assert.equal(statSync(join(root, folder)).mode & 0o777, 0o700);
    assert.deepEqual(filesBelow(root).sort(), [name, 'config']);
  });

  test('forms of the URL: relative to the home of the user, with port and user, absolute', async (t) => {
    const folder = scratch(t);
    const storage = createSftpStorage({
      url: `sftp://${userInfo().username}@127.0.0.1:${server.port}/${folder}/repository`,
      options: {
        args: `${server.args} -o HostKeyAlias=[127.0.0.1]:${server.port} -i "${join(server.folder, 'user')}" -o UserKnownHostsFile="${join(server.folder, 'known_hosts')}"`,
      },
    });
    t.after(() => storage.close?.());
    await storage.create();
    assert.equal(readdirSync(join(folder, 'repository')).length, 5);
  });

  test('large files, several at a time, over one connection', async (t) => {
    const storage = opened(t, server, join(scratch(t), 'repository'));
    await storage.create();
    const before = server.connections();
    const contents = [1, 2, 3].map(() => randomBytes(17 * mebibyte + 12_345));
    const refOf = (n: number): FileRef => ({ kind: 'data', name: `0${n}`.repeat(32) });
    await Promise.all(contents.map((content, n) => storage.write(refOf(n), [content.subarray(0, 100_001), content.subarray(100_001)])));
    const whole = await Promise.all(contents.map((_, n) => storage.read(refOf(n))));
    assert.ok(whole.every((bytes, n) => bytes.equals(contents[n] as Buffer)));
    const into = Buffer.alloc(4 * mebibyte);
    const range = await storage.read(refOf(1), { offset: 5_000_001, length: 4_000_001, into });
    assert.ok(range.equals((contents[1] as Buffer).subarray(5_000_001, 9_000_002)));
    assert.equal(range.buffer, into.buffer);
    assert.equal(server.connections(), before);
  });

  test('a host key that is wrong or unknown is refused, and says what to do', async (t) => {
    const other = await serveSftp(t, scratch(t));
    makeKey(join(other.folder, 'wrong'));
    const storage = opened(t, other, scratch(t));
    for (const known of [`[127.0.0.1]:${other.port} ${readFileSync(join(other.folder, 'wrong.pub'), 'utf8')}`, '']) {
      writeFileSync(join(other.folder, 'known_hosts'), known);
      await assert.rejects(storage.create(), {
        code: 'storage-denied',
        message: /[Hh]ost key verification failed|key is known/,
        remedy: /known_hosts/,
      });
    }
  });

  test('a user whose key is unknown is refused, and says what to do; once it is let in, it works', async (t) => {
    const other = await serveSftp(t, scratch(t));
    const storage = opened(t, other, join(scratch(t), 'repository'));
    const authorized = readFileSync(join(other.folder, 'authorized_keys'));
    writeFileSync(join(other.folder, 'authorized_keys'), '');
    await assert.rejects(storage.create(), { code: 'storage-denied', message: /Permission denied/, remedy: /sftp holdfast-test.*key/ });
    writeFileSync(join(other.folder, 'authorized_keys'), authorized);
    await storage.create();
  });

  test('a server without SFTP, and one that is not there', async (t) => {
    const without = await serveSftp(t, scratch(t), { subsystem: 'none' });
    await assert.rejects(opened(t, without, '/x').create(), { name: 'HoldfastError', code: /unsupported|storage/ });
    const nobody = createSftpStorage({ url: 'sftp://127.0.0.1:1/x', options: { args: server.args } });
    await assert.rejects(nobody.create(), { code: 'storage', message: /[Cc]onnection refused/ });
  });

  test('a connection that is cut in the middle of a write: an error that may pass, no file, and the next one works', async (t) => {
    const own = await serveSftp(t, scratch(t));
    const root = join(scratch(t), 'repository');
    const storage = opened(t, own, root);
    await storage.create();
    const content = randomBytes(32 * mebibyte);
    const writing = storage.write(pack, [content]);
    writing.catch(() => undefined);
    await waitUntil(() => filesBelow(root).some((file) => statSync(join(root, 'data', 'ab', file)).size > 0));
    own.cut();
    await assert.rejects(writing, { code: 'storage', message: /connection to sftp:holdfast-test:.* was lost/ });
    assert.deepEqual(await listed(storage), []);
    await storage.write(pack, [content]);
    await waitUntil(() => own.connections() >= 2);
    assert.equal(own.connections(), 2);
    assert.ok((await storage.read(pack)).equals(content));
    const [leftover = ''] = filesBelow(root).filter((file) => file !== name);
    assert.match(leftover, /-tmp-/);
    await storage.removeLeftovers?.(60 * 60 * 1000);
    assert.equal(filesBelow(root).length, 2);
    const longAgo = Date.now() / 1000 - 2 * 60 * 60;
    utimesSync(join(root, 'data', 'ab', leftover), longAgo, longAgo);
    await storage.removeLeftovers?.(60 * 60 * 1000);
    assert.deepEqual(filesBelow(root), [name]);
  });

  test('a connection that is cut in the middle of reads and listings: all of them end, and the next work', async (t) => {
    const own = await serveSftp(t, scratch(t));
    const storage = opened(t, own, join(scratch(t), 'repository'));
    await storage.create();
    await storage.write(pack, [randomBytes(mebibyte)]);
    own.freeze();
    const asked = [
      storage.read(pack),
      storage.read(pack, { offset: 5, length: 500_000 }),
      storage.sizeOf(pack),
      listed(storage),
      storage.remove(pack),
    ];
    const answers = Promise.allSettled(asked);
    own.cut();
    for (const answer of await answers) assert.equal(answer.status === 'rejected' && answer.reason.code, 'storage');
    assert.deepEqual(await listed(storage), [name]);
  });

  test('a server that answers no more is given up', async (t) => {
    const own = await serveSftp(t, scratch(t));
    const storage = opened(t, own, join(scratch(t), 'repository'), { timeout: '1s' });
    await storage.create();
    own.freeze();
    await assert.rejects(storage.sizeOf(pack), { code: 'storage', message: /has not answered for 1 s/ });
    await assert.rejects(storage.sizeOf(pack), { code: 'file-missing' });
  });

  test('a server that may only be read refuses to write', async (t) => {
    const root = scratch(t);
    const able = opened(t, server, root);
    await able.create();
    await able.write(pack, [Buffer.from('pack')]);
    const storage = opened(t, await serveSftp(t, scratch(t), { subsystem: 'internal-sftp -R' }), root);
    assert.equal((await storage.read(pack)).toString(), 'pack');
    await assert.rejects(storage.write(pack, [Buffer.from('x')]), { code: 'storage-denied' });
    await assert.rejects(storage.remove(pack), { code: 'storage-denied' });
    assert.deepEqual(filesBelow(root), [name]);
  });

  test('a disk that is full, and one that is read-only', async (t) => {
    if (!requireRoot(t)) return;
    let mounted = '';
    // Before the scratch folder goes.
    t.after(() => mounted === '' || execFileSync('umount', ['--lazy', mounted]));
    const folder = join(scratch(t), 'disk');
    mkdirSync(folder);
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'holdfast-test', folder], { encoding: 'utf8' });
    if (status !== 0) return t.skip(`a tmpfs cannot be mounted here: ${stderr.trim()}`);
    mounted = folder;
    const storage = opened(t, server, folder);
    await storage.create();
    await assert.rejects(storage.write(pack, [randomBytes(8 * mebibyte)]), {
      code: 'storage-full',
      message: /no room to write sftp:holdfast-test/,
    });
    assert.deepEqual(filesBelow(folder), []);
    await storage.write(pack, [randomBytes(mebibyte)]);
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    await assert.rejects(storage.write(pack, [Buffer.from('x')]), { code: 'storage-denied', message: /read-only/ });
    assert.equal(await storage.sizeOf(pack), mebibyte);
  });

  test('restic and Holdfast on one repository over SFTP, and both on the directory itself', (t) => {
    const root = join(scratch(t), 'both');
    proveBothWays(t, `sftp:${server.host}:${root}`, { args: server.args }, ['-o', `sftp.args=${server.args}`]);
    assert.ok(filesBelow(root).length > 0);
    assert.ok(!filesBelow(root).some((file) => file.includes('-t')));
  });

  test('a repository of a directory is used over SFTP, and the other way round', (t) => {
    const peer = requireRestic(t, 'newest');
    if (peer === undefined) return;
    const folder = scratch(t);
    const at = (path: string) => join(folder, path);
    mkdirSync(at('volume'));
    writeFileSync(at('volume/file'), randomBytes(3 * mebibyte));
    const remote = `{url: ${JSON.stringify(`sftp:${server.host}:${at('repository')}`)}, passwordFile: ./key, options: {args: ${JSON.stringify(server.args)}}}`;
    writeFileSync(at('key'), 'a password\n', { mode: 0o600 });
    writeFileSync(
      at('holdfast.yaml'),
      `volumes: {data: {source: {directory: ./volume}}}\nrepositories:\n  local: {url: ./repository, passwordFile: ./key}\n  remote: ${remote}\n`,
    );
    const ours = (...args: string[]) => holdfast(folder, ['--no-cache', ...args]);
    ours('init');
    ours('backup');
    ours('check', '--repository', 'remote', '--read-data');
    writeFileSync(at('volume/later'), randomBytes(mebibyte));
    ours('backup', '--repository', 'remote');
    const given = ['--password-file', at('key'), '--no-cache'];
    run(peer.path, [...given, '--repo', at('repository'), 'check', '--read-data']);
    run(peer.path, [
      ...given,
      '--repo',
      `sftp:${server.host}:${at('repository')}`,
      '-o',
      `sftp.args=${server.args}`,
      'check',
      '--read-data',
    ]);
    ours('restore', '--repository', 'remote', '--to', at('restored'), '--verify');
    assert.deepEqual(filesBelow(at('restored')).sort(), ['file', 'later']);
    assert.deepEqual(readdirSync(at('repository/locks')), []);
  });

  test('a storage that was not closed keeps no process alive, and its ssh ends', (t) => {
    const module = join(import.meta.dirname, '..', '..', 'src', 'storage', 'sftp.ts');
    const options = { url: `sftp:${server.host}:${scratch(t)}/repository`, options: { args: server.args } };
    const code = `
      const { createSftpStorage } = await import(${JSON.stringify(module)});
      const storage = createSftpStorage(${JSON.stringify(options)});
      await storage.create();
      for await (const file of storage.list('data')) console.log(file);
      console.log('listed');`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.deepEqual([status, stdout, stderr], [0, 'listed\n', '']);
  });

  test('its ssh ends with the storage, and with a process that is killed', async (t) => {
    const folder = scratch(t);
    const notes = join(folder, 'pids');
    writeFileSync(join(folder, 'noted ssh'), `#!/bin/sh\necho $$ >>'${notes}'\nexec ssh "$@"\n`, { mode: 0o755 });
    const command = `"${join(folder, 'noted ssh')}" ${server.args} -oBatchMode=yes ${server.host} -s sftp`;
    const address = { url: `sftp:elsewhere:${join(folder, 'repository')}`, options: { command } };
    const pids = () => readFileSync(notes, 'utf8').trim().split('\n').map(Number);
    const storage = createSftpStorage(address);
    await storage.create();
    await storage.close?.();
    await storage.close?.();
    assert.equal(pids().length, 1);
    assert.ok(isGone(pids()[0] as number));

    const module = join(import.meta.dirname, '..', '..', 'src', 'storage', 'sftp.ts');
    const code = `
      const { createSftpStorage } = await import(${JSON.stringify(module)});
      await createSftpStorage(${JSON.stringify(address)}).create();
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => parent.kill('SIGKILL'));
    await once(parent.stdout, 'data');
    const child = pids()[1] as number;
    assert.equal(isGone(child), false);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await waitUntil(() => isGone(child));
  });
}

test('a program that is not installed is named, with how to get it', async (t) => {
  const path = process.env.PATH;
  t.after(() => (process.env.PATH = path));
  process.env.PATH = '/nonexistent';
  const storage = createSftpStorage({ url: 'sftp:host:path' });
  await assert.rejects(storage.create(), { code: 'unsupported', message: /ssh is not installed/, remedy: /openssh-client/ });
  await storage.close?.();
});
