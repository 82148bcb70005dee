import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fc, runs } from '../../test/properties.ts';
import {
  type BlobKind,
  HeaderBuilder,
  headerBoundBytes,
  headerLength,
  openHeader,
  parseHeaderEntries,
  writeHeader,
} from './pack-header.ts';
import { createSeal, sealOverheadBytes } from './seal.ts';

const seal = createSeal({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });

const blobs = fc.array(
  fc.record({
    kind: fc.constantFrom<BlobKind>('data', 'tree'),
    id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => Buffer.from(id)),
    length: fc.integer({ min: sealOverheadBytes, max: 10_000_000 }),
    plainLength: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffffffff })),
  }),
  { minLength: 1, maxLength: 200 },
);

function build(list: readonly { kind: BlobKind; id: Buffer; length: number; plainLength: number }[]): Buffer {
  const header = new HeaderBuilder();
  for (const { kind, id, length, plainLength } of list) header.add(kind, id, length, plainLength);
  assert.equal(header.count, list.length);
  return Buffer.from(header.bytes());
}

test('a header says what was put in, with the offsets that follow', () => {
  fc.assert(
    fc.property(blobs, (list) => {
      const entries = build(list);
      const target = Buffer.alloc(headerBoundBytes(list.length));
      const tail = target.subarray(0, writeHeader(seal, entries, target));
      const bodyBytes = list.reduce((sum, { length }) => sum + length, 0);
      const packBytes = bodyBytes + tail.length;
      assert.equal(headerLength(tail, packBytes), tail.length);
      let offset = 0;
      const expected = list.map(({ kind, id, length, plainLength }) => {
        const entry = { id: id.toString('hex'), kind, offset, length, plainLength };
        offset += length;
        return entry;
      });
      assert.deepEqual(openHeader(seal, tail, packBytes), expected);
      assert.throws(() => openHeader(seal, tail, packBytes + 1), { code: 'damaged' });
      assert.throws(() => openHeader(seal, tail, packBytes - 1), { code: 'damaged' });
    }),
    { numRuns: runs(50) },
  );
});

test("entries are restic's bytes", () => {
  const id = Buffer.alloc(32, 0xaa);
  assert.deepEqual(build([{ kind: 'data', id, length: 0x01020304, plainLength: 0 }]), Buffer.concat([Buffer.from([0, 4, 3, 2, 1]), id]));
  const compressedTree = Buffer.concat([Buffer.from([3, 4, 3, 2, 1, 8, 7, 6, 5]), id]);
  assert.deepEqual(build([{ kind: 'tree', id, length: 0x01020304, plainLength: 0x05060708 }]), compressedTree);
});

test('a builder starts anew', () => {
  const header = new HeaderBuilder();
  header.add('data', Buffer.alloc(32), 100, 0);
  header.reset();
  assert.deepEqual([header.count, header.bytes().length], [0, 0]);
});

test('what makes no sense is damage', () => {
  const entry = build([{ kind: 'data', id: Buffer.alloc(32), length: 100, plainLength: 0 }]);
  const changed = (at: number, value: number) => Buffer.from(entry).fill(value, at, at + 1);
  assert.throws(() => parseHeaderEntries(changed(0, 4)), { code: 'damaged' });
  assert.throws(() => parseHeaderEntries(changed(1, 31)), { code: 'damaged' }, 'shorter than a seal');
  assert.throws(() => parseHeaderEntries(entry.subarray(0, entry.length - 1)), { code: 'damaged' });
  assert.deepEqual(parseHeaderEntries(Buffer.alloc(0)), []);
});

test('an absurd length of a header is damage before anything is read', () => {
  const tail = (length: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length);
    return bytes;
  };
  for (const length of [0, 31, sealOverheadBytes + 36, 997, 0xffffffff])
    assert.throws(() => headerLength(tail(length), 1000), { code: 'damaged' });
  assert.throws(() => headerLength(tail(17 * 1024 * 1024), 2 ** 31), { code: 'damaged' });
  assert.equal(headerLength(tail(sealOverheadBytes + 37), 1000), sealOverheadBytes + 37 + 4);
  assert.throws(() => headerLength(Buffer.alloc(3), 3), { code: 'damaged' });
});
