import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { clearRange, holeBytes, writeSparsely } from './sparse.ts';

/** Content made of runs of zeros and of ones, with lengths around the size of a block. */
const runs = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3 * holeBytes + 1 })), { maxLength: 8 });
const contentOf = (list: [boolean, number][]): Buffer => Buffer.concat(list.map(([ones, length]) => Buffer.alloc(length, ones ? 1 : 0)));

test('what is written sparsely reads back, in new files and over old content', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  fc.assert(
    fc.property(runs, fc.integer({ min: 0, max: 2 * holeBytes }), fc.boolean(), (list, position, overwrites) => {
      const content = contentOf(list);
      const around = overwrites ? 0xee : 0;
      const sizeBytes = position + content.length + 100;
      writeFileSync(path, Buffer.alloc(overwrites ? sizeBytes : 0, around));
      const fd = openSync(path, 'r+');
      try {
        ftruncateSync(fd, sizeBytes);
        assert.equal(writeSparsely(fd, content, position, overwrites), 0);
      } finally {
        closeSync(fd);
      }
      assert.ok(readFileSync(path).equals(Buffer.concat([Buffer.alloc(position, around), content, Buffer.alloc(100, around)])));
    }),
    { numRuns: 200 },
  );
});

test('a cleared range is zeros, and nothing else is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(20_000, 1));
  const fd = openSync(path, 'r+');
  assert.equal(clearRange(fd, 1000, 15_000), 0);
  closeSync(fd);
  assert.ok(readFileSync(path).equals(Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(15_000), Buffer.alloc(4000, 1)])));
});
