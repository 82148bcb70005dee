/** What every storage promises (src/storage/storage.ts): one suite that each of them runs. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { HoldfastError } from '../../src/model/errors.ts';
import type { FileKind, FileRef, Storage, StoredFile } from '../../src/storage/storage.ts';

const kinds: readonly FileKind[] = ['keys', 'locks', 'snapshots', 'index', 'data'];
const nameOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function list(storage: Storage, kind: FileKind): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for await (const file of storage.list(kind)) found.push(file);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @param open gives an empty storage that goes away with the test; `create` is called on it here. */
export function runStorageContract(name: string, open: (t: TestContext) => Promise<Storage>): void {
  async function created(t: TestContext): Promise<Storage> {
    const storage = await open(t);
    await storage.create();
    return storage;
  }

  describe(`${name} as a storage`, () => {
    test('creating is harmless when it is there', async (t) => {
      const storage = await created(t);
      await storage.write({ kind: 'config', name: '' }, [Buffer.from('kept')]);
      await storage.create();
      assert.equal((await storage.read({ kind: 'config', name: '' })).toString(), 'kept');
    });

    test('it says where it is', async (t) => {
      assert.notEqual((await open(t)).location, '');
    });

    test('nothing is listed before it is made, nor when it is empty', async (t) => {
      const storage = await open(t);
      for (const kind of kinds) assert.deepEqual(await list(storage, kind), []);
      await storage.create();
      for (const kind of kinds) assert.deepEqual(await list(storage, kind), []);
    });

    test('what is written is read, listed with its size, and removed', async (t) => {
      const storage = await created(t);
      for (const kind of kinds) {
        const contents = [0, 1, 1000, 300_000].map((length) => randomBytes(length));
        for (const content of contents) await storage.write({ kind, name: nameOf(content) }, [content]);
        for (const content of contents) {
          assert.deepEqual(await storage.read({ kind, name: nameOf(content) }), content);
          assert.equal(await storage.sizeOf({ kind, name: nameOf(content) }), content.length);
        }
        const expected = contents.map((content) => ({ name: nameOf(content), sizeBytes: content.length }));
        assert.deepEqual(
          await list(storage, kind),
          expected.sort((a, b) => (a.name < b.name ? -1 : 1)),
        );
        for (const content of contents) await storage.remove({ kind, name: nameOf(content) });
        assert.deepEqual(await list(storage, kind), []);
      }
    });

    test('the parts of a file become one; there may be none', async (t) => {
      const storage = await created(t);
      const file: FileRef = { kind: 'data', name: 'ab'.repeat(32) };
      await storage.write(file, [Buffer.from('one '), Buffer.alloc(0), new Uint8Array(Buffer.from('two'))]);
      assert.equal((await storage.read(file)).toString(), 'one two');
      await storage.write(file, []);
      assert.equal((await storage.read(file)).length, 0);
    });

    test('ranges, also into a buffer that is lent', async (t) => {
      const storage = await created(t);
      const content = randomBytes(10_000);
      const file: FileRef = { kind: 'data', name: nameOf(content) };
      await storage.write(file, [content]);
      const ranges = [
        [0, 10_000],
        [0, 0],
        [10_000, 0],
        [9_999, 1],
        [123, 4567],
      ] as const;
      for (const [offset, length] of ranges) {
        assert.deepEqual(await storage.read(file, { offset, length }), content.subarray(offset, offset + length));
        const into = Buffer.alloc(12_000);
        assert.deepEqual(await storage.read(file, { offset, length, into }), content.subarray(offset, offset + length));
      }
    });

    test('a range beyond the end is damage, however long it claims to be', async (t) => {
      const storage = await created(t);
      const file: FileRef = { kind: 'data', name: 'cd'.repeat(32) };
      await storage.write(file, [randomBytes(100)]);
      const ranges = [
        [0, 101],
        [100, 1],
        [1000, 1],
        [50, 2 ** 32],
      ] as const;
      for (const [offset, length] of ranges)
        await assert.rejects(storage.read(file, { offset, length }), { name: 'HoldfastError', code: 'damaged' });
    });

    test('a file that is missing is said to be missing, and may be removed', async (t) => {
      const storage = await created(t);
      const files: FileRef[] = [...kinds.map((kind) => ({ kind, name: 'ef'.repeat(32) })), { kind: 'config', name: '' }];
      for (const file of files) {
        await assert.rejects(storage.read(file), { name: 'HoldfastError', code: 'file-missing' });
        await assert.rejects(storage.read(file, { offset: 0, length: 10 }), { name: 'HoldfastError', code: 'file-missing' });
        await assert.rejects(storage.sizeOf(file), { name: 'HoldfastError', code: 'file-missing' });
        await storage.remove(file);
      }
    });

    test('what is sent without being in memory is stored as a whole, in several pieces or none', async (t) => {
      const storage = await created(t);
      if (storage.writeFrom === undefined) return;
      const content = randomBytes(300_000);
      for (const bytes of [content, Buffer.alloc(0)]) {
        const file: FileRef = { kind: 'data', name: nameOf(bytes) };
        const pieces = async function* () {
          for (let at = 0; at < bytes.length; at += 100_001) yield bytes.subarray(at, at + 100_001);
        };
        await storage.writeFrom(file, { sizeBytes: bytes.length, pieces });
        assert.ok((await storage.read(file)).equals(bytes));
      }
    });

    test('what cannot be read to its end, or is shorter than it claims, does not appear; the next file does', async (t) => {
      const storage = await created(t);
      if (storage.writeFrom === undefined) return;
      const broken = new HoldfastError('temporary-space', 'injected');
      for (const [sizeBytes, end] of [
        [300_000, () => Promise.reject(broken)],
        [300_000, async () => undefined],
      ] as const) {
        const pieces = async function* () {
          yield randomBytes(200_000);
          await end();
        };
        const file: FileRef = { kind: 'data', name: nameOf(randomBytes(8)) };
        await assert.rejects(storage.writeFrom(file, { sizeBytes, pieces }), HoldfastError);
        // A server may take a moment to notice that nothing more comes, and to remove what it has begun.
        const givenUpMs = Date.now() + 10_000;
        const isThere = async () => (await list(storage, 'data')).some(({ name }) => name === file.name);
        while (await isThere()) {
          assert.ok(Date.now() < givenUpMs, 'what broke off is still there');
          await setTimeout(20);
        }
        // Missing, or not to be had: rclone remembers what it once began to store, and answers with a body that breaks off.
        await assert.rejects(storage.read(file), HoldfastError);
      }
      const next: FileRef = { kind: 'data', name: nameOf(Buffer.from('next')) };
      await storage.write(next, [Buffer.from('next')]);
      assert.equal((await storage.read(next)).toString(), 'next');
      assert.deepEqual(
        (await list(storage, 'data')).map(({ name }) => name),
        [next.name],
      );
    });

    test('storing a name again replaces it', async (t) => {
      const storage = await created(t);
      const file: FileRef = { kind: 'locks', name: '01'.repeat(32) };
      await storage.write(file, [Buffer.from('old and long')]);
      await storage.write(file, [Buffer.from('new')]);
      assert.equal((await storage.read(file)).toString(), 'new');
      assert.deepEqual(await list(storage, 'locks'), [{ name: file.name, sizeBytes: 3 }]);
    });

    test('one name in two kinds is two files; config is one whatever its name', async (t) => {
      const storage = await created(t);
      const same = '23'.repeat(32);
      for (const kind of kinds) await storage.write({ kind, name: same }, [Buffer.from(kind)]);
      for (const kind of kinds) assert.equal((await storage.read({ kind, name: same })).toString(), kind);
      await storage.write({ kind: 'config', name: 'x' }, [Buffer.from('config')]);
      assert.equal((await storage.read({ kind: 'config', name: 'y' })).toString(), 'config');
    });

    test('a name that is none of a repository never reaches the storage', async (t) => {
      const storage = await created(t);
      for (const bad of ['', 'short', '../../../etc/passwd', `${'ab'.repeat(31)}/x`, 'AB'.repeat(32)]) {
        await assert.rejects(storage.write({ kind: 'data', name: bad }, [Buffer.from('x')]), { name: 'HoldfastError' });
        await assert.rejects(storage.read({ kind: 'data', name: bad }), { name: 'HoldfastError' });
        await assert.rejects(storage.remove({ kind: 'data', name: bad }), { name: 'HoldfastError' });
      }
    });

    test('many files at once', async (t) => {
      const storage = await created(t);
      const contents = Array.from({ length: 60 }, () => randomBytes(2000));
      await Promise.all(contents.map((content) => storage.write({ kind: 'data', name: nameOf(content) }, [content])));
      const read = await Promise.all(contents.map((content) => storage.read({ kind: 'data', name: nameOf(content) })));
      assert.deepEqual(read, contents);
      assert.equal((await list(storage, 'data')).length, 60);
    });

    test('the same file written by several at once is whole', async (t) => {
      const storage = await created(t);
      const content = randomBytes(500_000);
      const file: FileRef = { kind: 'data', name: nameOf(content) };
      await Promise.all([1, 2, 3, 4].map(() => storage.write(file, [content])));
      assert.deepEqual(await storage.read(file), content);
      assert.equal((await list(storage, 'data')).length, 1);
    });
  });
}
