/** Clients whose credentials cannot delete: backups, checks and restores work; what would destroy history is refused, and said so. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createRestStorage } from '../../src/storage/rest.ts';
import type { FileKind } from '../../src/storage/storage.ts';
import { commandLine, type Said } from '../command-line.ts';
import { requireRestic, scratch } from '../peers.ts';
import { documents, run } from '../programs.ts';
import { type RcloneServer, requireServers, restUrl, serveRestic } from '../rclone-server.ts';

const kinds: readonly FileKind[] = ['keys', 'snapshots', 'index', 'data'];

type Client = {
  folder: string;
  volume: string;
  /** Through the server that only appends. */
  append: (...argv: string[]) => Promise<Said>;
  /** With full rights, in the folder behind the server. */
  full: (...argv: string[]) => Promise<Said>;
  store: string;
  url: string;
};

/** A project whose repository is behind `serverOf`'s server. */
async function createClient(t: TestContext, serverOf: (store: string) => Promise<string>): Promise<Client> {
  const folder = scratch(t);
  const [volume, store] = [join(folder, 'volume'), join(folder, 'store')];
  for (const made of [volume, store]) mkdirSync(made);
  const url = await serverOf(store);
  const line = commandLine(folder);
  const given = ['--password-file', join(folder, 'holdfast.key'), '--no-cache'];
  const append = (...argv: string[]) => line(...given, '--repository', url, ...argv);
  const full = (...argv: string[]) => line(...given, '--repository', store, ...argv);
  done(await line('init', '--volume', `data=${volume}`, '--repository', url));
  return { folder, volume, append, full, store, url };
}

function done(said: Said): Said {
  assert.equal(said.exit, 0, said.stdout + said.stderr);
  return said;
}

function refused(said: Said): void {
  assert.equal(said.exit, 1, said.stdout + said.stderr);
  assert.match(said.stderr, /403 Forbidden/);
}

/** All files of the repository but its locks, and their bytes. */
function contentOf(store: string): Map<string, string> {
  const names = readdirSync(store, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = names.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => !path.includes('/locks/'));
  return new Map(paths.map((path) => [path, readFileSync(path, 'base64')]));
}

/** Whether all that was there is there, unchanged. */
function assertKept(store: string, before: Map<string, string>): void {
  const now = contentOf(store);
  for (const [path, bytes] of before) assert.ok(now.get(path) === bytes, path);
}

const snapshotIds = ({ stdout }: Said): string[] =>
  documents(stdout)
    .flatMap((found) => (Array.isArray(found) ? found : [found]))
    .map(({ id }) => id);

if (requireServers()) {
  test('a server that only appends: backup, check and restore work, history stays, and prune elsewhere works', async (t) => {
    const client = await createClient(t, async (store) => restUrl(await serveRestic(t, store, { appendOnly: true })));
    const { volume, append, full, store, folder } = client;
    writeFileSync(join(volume, 'first'), randomBytes(300_000));
    done(await append('backup'));
    writeFileSync(join(volume, 'second'), randomBytes(300_000));
    writeFileSync(join(volume, 'first'), 'overwritten by an intruder');
    done(await append('backup'));
    done(await append('check', '--read-data'));
    assert.deepEqual(readdirSync(join(store, 'locks')), [], 'locks can be removed');
    done(await append('key', 'add', '--generate', join(folder, 'second.key')));

    const before = contentOf(store);
    const ids = snapshotIds(done(await append('--json', 'snapshots')));
    assert.equal(ids.length, 2);
    refused(await append('forget', '--force', ids[0] as string));
    const keys = readdirSync(join(store, 'keys'));
    const second = documents(done(await append('--json', 'key', 'list')).stdout)
      .flat()
      .find((key) => !key.current);
    refused(await append('key', 'remove', second.id));
    assert.deepEqual(readdirSync(join(store, 'keys')), keys);
    assertKept(store, before);

    // What a prune would free, with the rights of who may forget.
    done(await full('forget', '--force', ids[0] as string));
    const forgotten = contentOf(store);
    refused(await append('prune', '--max-unused', '0'));
    assertKept(store, forgotten);
    done(await append('check', '--read-data'));
    done(await full('prune', '--max-unused', '0'));
    assert.ok(
      [...forgotten.keys()].some((path) => path.includes('/data/') && !contentOf(store).has(path)),
      'packs were removed',
    );

    const pruned = contentOf(store);
    const replaced = await append('key', 'passwd', '--generate', join(folder, 'third.key'));
    refused(replaced);
    assert.match(replaced.stderr, /was added and opens the repository, but the old key stays/);
    const retagged = await append('tag', '--all', '--add', 'x');
    refused(retagged);
    assert.match(retagged.stderr, /0 snapshots changed, 1 unchanged/);
    assertKept(store, pruned);

    done(await append('backup'));
    done(await append('check', '--read-data'));
    const target = join(folder, 'restored');
    done(await append('restore', '--to', target, '--verify'));
    assert.equal(readFileSync(join(target, 'data', 'first'), 'utf8'), 'overwritten by an intruder');
    assert.deepEqual(readFileSync(join(target, 'data', 'second')), readFileSync(join(volume, 'second')));

    const restic = requireRestic(t, 'newest');
    if (restic)
      run(restic.path, ['--repo', client.url, '--password-file', join(folder, 'holdfast.key'), '--no-cache', 'check', '--read-data']);
  });

  test('files of every kind can neither be removed nor replaced there', async (t) => {
    const client = await createClient(t, async (store) => restUrl(await serveRestic(t, store, { appendOnly: true })));
    writeFileSync(join(client.volume, 'file'), randomBytes(10_000));
    done(await client.append('backup'));
    const before = contentOf(client.store);
    const storage = createRestStorage({ url: client.url }, {});
    t.after(() => storage.close?.());
    for (const kind of kinds) {
      for await (const { name, sizeBytes } of storage.list(kind)) {
        await assert.rejects(storage.remove({ kind, name }), { code: 'storage-denied' });
        await assert.rejects(storage.write({ kind, name }, [randomBytes(sizeBytes + 1)]), { code: 'storage-denied' });
      }
    }
    await assert.rejects(storage.remove({ kind: 'config', name: '' }), { code: 'storage-denied' });
    await assert.rejects(storage.write({ kind: 'config', name: '' }, [randomBytes(100)]), { code: 'storage-denied' });
    assert.deepEqual(contentOf(client.store), before);
  });

  test('a server that removes nothing at all, not even locks: backups go on, and who may clears up', async (t) => {
    const client = await createClient(t, async (store) => `rest:${await withoutRemoval(t, await serveRestic(t, store))}`);
    const { append, full, store, volume } = client;
    const locks = () => readdirSync(join(store, 'locks')).length;
    for (const content of ['one', 'two', 'three']) {
      writeFileSync(join(volume, content), content);
      done(await append('backup'));
    }
    assert.equal(locks(), 3);
    done(await append('check'));
    // The locks are fresh, and this process lives: as good as locks of backups at work.
    assert.equal((await full('prune')).exit, 11);
    refused(await append('unlock', '--remove-all'));
    done(await full('unlock', '--remove-all'));
    assert.equal(locks(), 0);
    done(await full('prune'));
    done(await full('check', '--read-data'));
  });
}

/** A proxy that answers 403 to every DELETE. @returns its URL. */
async function withoutRemoval(t: TestContext, server: RcloneServer): Promise<string> {
  const proxy = createServer((incoming, outgoing) => {
    if (incoming.method === 'DELETE') return void outgoing.writeHead(403).end();
    const { method, headers, url = '/' } = incoming;
    const onward = request(new URL(url, server.url), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`;
}
