import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../model/errors.ts';
import type { FileKind, Storage } from '../storage/storage.ts';
import { listAhead } from './listing-ahead.ts';

/** Lists one file of each kind, when the test lets it. */
function held() {
  const begun: FileKind[] = [];
  const release: { [kind in FileKind]?: (error?: HoldfastError) => void } = {};
  const storage = {
    async *list(kind: FileKind) {
      begun.push(kind);
      const failure = await new Promise<HoldfastError | undefined>((resolve) => {
        release[kind] = resolve;
      });
      if (failure !== undefined) throw failure;
      yield { name: kind, sizeBytes: begun.length };
    },
  } as Partial<Storage> as Storage;
  return { storage, begun, release };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('listings begin one after the other, and are given once to who asks first', async () => {
  const { storage, begun, release } = held();
  const ahead = listAhead(storage, ['snapshots', 'index']);
  assert.deepEqual(begun, [], 'nothing begins by itself');
  ahead.begin();
  await turn();
  assert.deepEqual(begun, ['snapshots']);
  release.snapshots?.();
  await turn();
  assert.deepEqual(begun, ['snapshots', 'index']);
  release.index?.();
  assert.deepEqual(await Array.fromAsync(ahead.storage.list('index')), [{ name: 'index', sizeBytes: 2 }]);
  assert.deepEqual(await Array.fromAsync(ahead.storage.list('snapshots')), [{ name: 'snapshots', sizeBytes: 1 }]);
  assert.deepEqual(begun, ['snapshots', 'index']);
  const again = Array.fromAsync(ahead.storage.list('snapshots'));
  await turn();
  release.snapshots?.();
  assert.deepEqual(await again, [{ name: 'snapshots', sizeBytes: 3 }], 'what is asked for later is listed anew');
});

test('a listing that fails fails for who asks, and nobody else', async () => {
  const { storage, release } = held();
  const ahead = listAhead(storage, ['snapshots', 'index']);
  ahead.begin();
  await turn();
  release.snapshots?.(new HoldfastError('storage', 'unplugged'));
  await turn();
  release.index?.();
  await ahead.settled();
  assert.equal((await Array.fromAsync(ahead.storage.list('index'))).length, 1);
  await assert.rejects(Array.fromAsync(ahead.storage.list('snapshots')), { code: 'storage' });
});

test('what began again replaces what nobody asked for', async () => {
  const { storage, release } = held();
  const ahead = listAhead(storage, ['snapshots']);
  ahead.begin();
  await turn();
  release.snapshots?.();
  await ahead.settled();
  ahead.begin();
  await turn();
  release.snapshots?.();
  assert.deepEqual(await Array.fromAsync(ahead.storage.list('snapshots')), [{ name: 'snapshots', sizeBytes: 2 }]);
});
