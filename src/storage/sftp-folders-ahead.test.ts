import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SftpClient } from './sftp-client.ts';
import { filesAhead } from './sftp-folders.ts';
import { FoldersAhead } from './sftp-folders-ahead.ts';

const mine = 'a'.repeat(64);
const other = 'b'.repeat(64);

/** A server whose folders look as they did when they were opened, and what it was asked. */
function snapshotServer({ roundTrips = 1, extensions = ['fsync@openssh.com'] } = {}) {
  const asked: string[] = [];
  const folders = new Map<string, string[]>();
  const opened = new Map<Buffer, { path: string; names: string[] }>();
  const client = {
    has: (extension: string) => extensions.includes(extension),
    async openFolder(path: string) {
      asked.push(`open ${path}`);
      const handle = Buffer.from(path);
      opened.set(handle, { path, names: [...(folders.get(path) ?? [])] });
      return handle;
    },
    async entries(handle: Buffer) {
      const { path = '', names = [] } = opened.get(handle) ?? {};
      asked.push(`list ${path}`);
      return { entries: names.map((name) => ({ name, attributes: { sizeBytes: 1 } })), roundTrips };
    },
    closeUnheard: (handle: Buffer) => void asked.push(`close ${opened.get(handle)?.path}`),
  } as unknown as SftpClient;
  return { client, folders, asked };
}

const namesOf = (files: { name: string }[]) => files.map(({ name }) => name);

test('a folder that was opened ahead is listed at once, and what comes next is opened after that was asked for', async () => {
  const { client, folders, asked } = snapshotServer();
  const ahead = new FoldersAhead();
  folders.set('/locks', [mine]);
  ahead.open(client, '/locks', mine);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/locks', ['/index'])), [mine]);
  folders.set('/index', [other]);
  await filesAhead(client, ahead, '/index', []);
  assert.deepEqual(asked, ['open /locks', 'list /locks', 'open /index', 'list /index']);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/index', [])), [other]);
});

test('a folder that was opened before the new name was there is opened anew', async () => {
  const { client, folders, asked } = snapshotServer();
  const ahead = new FoldersAhead();
  ahead.open(client, '/locks', mine);
  folders.set('/locks', [mine, other]);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/locks', ['/index'])), [mine, other]);
  assert.equal(await ahead.take(client, '/index'), undefined);
  assert.deepEqual(asked.slice(0, 4), ['open /locks', 'list /locks', 'open /index', 'open /locks']);
  assert.ok(asked.includes('close /index'));
});

test("beside another's lock, nothing is opened ahead: it may be gone when it is read, and what its holder wrote last must be seen", async () => {
  const { client, folders } = snapshotServer();
  const ahead = new FoldersAhead();
  folders.set('/locks', [mine, other]);
  ahead.open(client, '/locks', mine);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/locks', ['/snapshots'])), [mine, other]);
  folders.set('/snapshots', [other]);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/snapshots', [])), [other]);
});

test('a listing in several parts makes what was opened during it useless', async () => {
  const { client, folders, asked } = snapshotServer({ roundTrips: 2 });
  const ahead = new FoldersAhead();
  folders.set('/locks', [mine]);
  ahead.open(client, '/locks', mine);
  await filesAhead(client, ahead, '/locks', ['/index']);
  folders.set('/index', [other]);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/index', [])), [other]);
  assert.deepEqual(asked.slice(2), ['open /index', 'close /index', 'open /index', 'list /index']);
});

test('what was opened after a listing is not used after the next one', async () => {
  const { client, folders } = snapshotServer();
  const ahead = new FoldersAhead();
  folders.set('/locks', [mine]);
  ahead.open(client, '/locks', mine);
  await filesAhead(client, ahead, '/locks', ['/index']);
  folders.set('/index', [other]);
  await filesAhead(client, ahead, '/locks', ['/index']);
  assert.deepEqual(namesOf(await filesAhead(client, ahead, '/index', [])), [other]);
});

test('nothing is opened ahead where requests may be carried out in another order, nor used after a change or a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const poor = snapshotServer({ extensions: [] });
  const ahead = new FoldersAhead();
  ahead.open(poor.client, '/locks', mine);
  assert.deepEqual(poor.asked, []);

  const { client, asked } = snapshotServer();
  ahead.open(client, '/locks');
  ahead.forget('/locks');
  assert.equal(await ahead.take(client, '/locks'), undefined);
  ahead.open(client, '/locks');
  await Promise.resolve();
  t.mock.timers.tick(1_000);
  assert.equal(await ahead.take(client, '/locks'), undefined);
  ahead.open(client, '/locks');
  assert.equal(await ahead.take(poor.client, '/locks'), undefined);
  assert.deepEqual(asked, ['open /locks', 'close /locks', 'open /locks', 'close /locks', 'open /locks']);
});
