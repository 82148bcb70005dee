import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { PackId } from '../model/ids.ts';
import { BlobIndex } from './blob-index.ts';

const idOf = (n: number) => createHash('sha256').update(`blob ${n}`).digest();
const pack = (n: number) => createHash('sha256').update(`pack ${n}`).digest('hex') as PackId;

test('finds each of 100,000 blobs where it was added, and none that was not', () => {
  const index = new BlobIndex();
  const packs = [index.addPack(pack(0)), index.addPack(pack(1)), index.addPack(pack(2))];
  for (let n = 0; n < 100_000; n++) index.add(idOf(n), n % 5 === 0 ? 'tree' : 'data', packs[n % 3] as number, n, n + 1, 4_000_000_000 + n);
  assert.equal(index.size, 100_000);
  for (let n = 0; n < 100_000; n += 7) {
    const kind = n % 5 === 0 ? 'tree' : 'data';
    assert.deepEqual(index.locations(idOf(n), kind), [
      { pack: pack(n % 3), kind, offset: n, length: n + 1, plainLength: 4_000_000_000 + n },
    ]);
    assert.equal(index.has(idOf(n), kind === 'tree' ? 'data' : 'tree'), false);
    assert.equal(index.has(idOf(n + 100_000), kind), false);
    assert.equal(index.idOf(index.find(idOf(n), kind)), idOf(n).toString('hex'));
  }
});

test('costs at most 100 bytes a blob', () => {
  const index = new BlobIndex();
  const number = index.addPack(pack(0));
  for (let n = 0; n < 100_000; n++) index.add(idOf(n), 'data', number, n, 1, 0);
  const { entries, heads, packs } = index.memory;
  assert.ok((entries.byteLength + heads.byteLength + packs.byteLength) / index.size <= 100);
});

test('knows every place of a blob that lies in several', () => {
  const index = new BlobIndex();
  const numbers = [0, 1, 2].map((n) => index.addPack(pack(n)));
  for (const number of numbers) index.add(idOf(1), 'data', number, 10 + number, 5, 0);
  assert.deepEqual(
    index
      .locations(idOf(1), 'data')
      .map((l) => l.offset)
      .sort(),
    [10, 11, 12],
  );
});

test('a claimed blob is known, but has no place yet', () => {
  const index = new BlobIndex();
  assert.equal(index.claim(idOf(1), 'tree'), true);
  assert.equal(index.claim(idOf(1), 'tree'), false);
  assert.equal(index.claim(idOf(1), 'data'), true, 'the same content as data is another blob');
  assert.deepEqual(index.locations(idOf(1), 'tree'), []);
});

test('threads that meet the same blobs at the same moment claim each exactly once', async () => {
  const index = new BlobIndex();
  const source = `
    import { workerData, parentPort } from 'node:worker_threads';
    import { createHash } from 'node:crypto';
    const { BlobIndex } = await import(workerData.module);
    const index = new BlobIndex(workerData.memory);
    const start = new Int32Array(workerData.start);
    parentPort.postMessage('ready');
    Atomics.wait(start, 0, 0);
    let claimed = 0;
    for (let n = 0; n < 50000; n++) if (index.claim(createHash('sha256').update('blob ' + n).digest(), 'data')) claimed++;
    parentPort.postMessage(claimed);
  `;
  const start = new SharedArrayBuffer(4);
  const module = new URL('./blob-index.ts', import.meta.url).href;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const workers = Array.from({ length: 4 }, () => new Worker(url, { workerData: { memory: index.memory, module, start } }));
  const counts: number[] = [];
  let ready = 0;
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on('error', reject);
          worker.on('message', (message: 'ready' | number) => {
            if (message === 'ready') {
              if (++ready === workers.length) {
                Atomics.store(new Int32Array(start), 0, 1);
                Atomics.notify(new Int32Array(start), 0);
              }
              return;
            }
            counts.push(message);
            resolve();
          });
        }),
    ),
  );
  assert.equal(
    counts.reduce((a, b) => a + b, 0),
    50_000,
  );
  assert.equal(index.size, 50_000);
  for (let n = 0; n < 50_000; n += 11) assert.equal(index.has(idOf(n), 'data'), true);
  await Promise.all(workers.map((worker) => worker.terminate()));
});
