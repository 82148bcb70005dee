import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HoldfastError } from '../model/errors.ts';
import type { FileRef, FileSource, PendingFile, Storage } from './storage.ts';
import { withSpool } from './with-spool.ts';

const nameOf = (content: Buffer) => createHash('sha256').update(content).digest('hex');

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A storage that keeps what it is sent; the first attempts fail. */
function remote(failures = 0) {
  const sent: { file: FileRef; bytes: Buffer }[] = [];
  const storage = {
    location: 'far away',
    async writeFrom(file: FileRef, source: FileSource) {
      if (failures-- > 0) {
        for await (const _ of source.pieces()) break;
        throw new HoldfastError('storage', 'broken off');
      }
      const bytes = Buffer.concat(await Array.fromAsync(source.pieces()));
      assert.equal(bytes.length, source.sizeBytes);
      sent.push({ file, bytes });
    },
  } as unknown as Storage;
  return { sent, storage };
}

async function begun(storage: Storage, holds?: 'trees'): Promise<PendingFile> {
  return (await storage.begin?.(holds)) as PendingFile;
}

/** What is appended is overwritten by the next: the storage must not rely on it. */
async function appendAll(file: PendingFile, content: Buffer, stepBytes: number): Promise<void> {
  const step = Buffer.alloc(stepBytes);
  for (let at = 0; at < content.length; at += stepBytes) {
    const length = content.copy(step, 0, at);
    await file.append(step.subarray(0, length));
  }
  step.fill(0);
}

test('a pack waits in a file that nobody sees, and is sent when it has its name', async (t) => {
  const folder = folderOf(t);
  const { sent, storage } = remote();
  const file = await begun(withSpool(storage, folder), 'trees');
  const content = randomBytes(300_001);
  await appendAll(file, content, 100_000);
  assert.deepEqual([readdirSync(folder), sent], [[], []]);
  await file.commit(nameOf(content));
  assert.deepEqual(sent[0]?.file, { kind: 'data', name: nameOf(content), holds: 'trees' });
  assert.ok(sent[0]?.bytes.equals(content));
  await file.discard();
});

test('it can be sent again after a failure', async (t) => {
  const { sent, storage } = remote(1);
  const file = await begun(withSpool(storage, folderOf(t)));
  const content = randomBytes(200_000);
  await appendAll(file, content, 70_000);
  await assert.rejects(file.commit(nameOf(content)), { code: 'storage' });
  await file.commit(nameOf(content));
  assert.ok(sent[0]?.bytes.equals(content));
});

test('what the disk does not give back as it was written is never sent whole', async (t) => {
  const folder = folderOf(t);
  const damages: [what: string, damage: (path: string) => void][] = [
    ['changed', (path) => writeFileSync(path, 'x', { flag: 'r+' })],
    ['cut off', (path) => truncateSync(path, 150_000)],
    ['empty', (path) => truncateSync(path, 0)],
  ];
  for (const [what, damage] of damages) {
    const { sent, storage } = remote();
    const content = randomBytes(200_000);
    const file = await begun(withSpool(storage, folder));
    await appendAll(file, content, 70_000);
    damage(openFileIn(folder));
    await assert.rejects(file.commit(nameOf(content)), { code: 'temporary-space', remedy: /TMPDIR/ }, what);
    assert.deepEqual(sent, []);
    await file.discard();
  }
});

/** A way to a file that has no name any more. */
function openFileIn(folder: string): string {
  const isThere = (descriptor: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(folder);
    } catch {
      return false;
    }
  };
  return `/proc/self/fd/${readdirSync('/proc/self/fd').find(isThere)}`;
}

test('without room for files, packs wait in memory, and none is lost or mixed up', async (t) => {
  const { sent, storage } = remote();
  const content = randomBytes(250_000);
  const nowhere = await begun(withSpool(storage, join(folderOf(t), 'missing')));
  await appendAll(nowhere, content, 100_000);
  await nowhere.commit(nameOf(content));
  assert.ok(sent[0]?.bytes.equals(content));
});

test('a storage that writes best as it comes is left as it is', () => {
  const storage = { location: 'near' } as Storage;
  assert.equal(withSpool(storage), storage);
});
