import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { type Pair, SortedSpool } from './sorted-spool.ts';
import { Spool } from './spool.ts';

const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 });
const key = fc.oneof(bytes, fc.constantFrom('', 'a', 'a\0b', 'a.b', 'ab'));

test('pairs come sorted, those of one key as they came, however many runs there are, in memory or in the file, twice', (t) => {
  const folder = scratch(t);
  fc.assert(
    fc.property(fc.array(fc.tuple(key, bytes), { maxLength: 400 }), fc.integer({ min: 1, max: 3000 }), fc.boolean(), (pairs, run, disk) => {
      const spool = new Spool({ folders: [folder], ...(disk ? { memoryBytes: 0 } : {}) });
      try {
        const sorted = new SortedSpool(spool, { runCharacters: run });
        for (const [name, value] of pairs) sorted.add(name, value);
        const expected = (pairs as Pair[]).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
        assert.deepEqual([...sorted.sorted()], expected);
        assert.deepEqual([...sorted.sorted()], expected);
        assert.equal(spool.fileBytes > 0, disk && pairs.length > 0);
      } finally {
        spool.close();
      }
    }),
    { numRuns: runs(100) },
  );
  assert.deepEqual(readdirSync(folder), []);
});

test('the file has no name, is its owner’s alone, and tells nothing of what is in it', (t) => {
  const folder = scratch(t);
  const spool = new Spool({ folders: [folder], memoryBytes: 0 });
  const secret = 'the name of a patient';
  const block = spool.put(Buffer.from(secret));
  const [open] = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  });
  const file = `/proc/self/fd/${open}`;
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!readFileSync(file).includes(secret));
  assert.equal(spool.get(block).toString(), secret);
  spool.close();
  assert.throws(() => spool.put(Buffer.alloc(1)), { code: 'internal' });
});

test('a file that cannot be made, and a file that has changed, are told of', (t) => {
  const folder = scratch(t);
  const nowhere = new Spool({ folders: [`${folder}/missing`, `${folder}/neither`], memoryBytes: 0 });
  assert.throws(() => nowhere.put(Buffer.alloc(1)), { code: 'temporary-space', message: /ENOENT/ });
  const second = new Spool({ folders: [`${folder}/missing`, folder], memoryBytes: 0 });
  const block = second.put(Buffer.from('content')) as { offset: number; length: number };
  assert.throws(() => second.get({ ...block, length: block.length - 1 }), { code: 'temporary-space' });
  second.close();
});
