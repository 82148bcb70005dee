import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readIndexFile } from '../../format/index-file.ts';
import { IndexText } from './index-text.ts';

const idOf = (name: string) => createHash('sha256').update(name).digest('hex');

test('what is written is read again, file by file', () => {
  const text = new IndexText();
  assert.equal(text.take(), undefined);
  for (const file of ['first', 'second']) {
    const said: unknown[] = [];
    for (let pack = 0; pack < 3; pack++) {
      text.beginPack(idOf(`${file} ${pack}`));
      said.push(idOf(`${file} ${pack}`));
      for (let blob = 0; blob < 1000 * pack; blob++) {
        const place = [blob % 2 ? 'data' : 'tree', idOf(`${file} ${pack} ${blob}`), 0xffffffff - blob, 0xfffffffe, blob % 3] as const;
        text.blob(...place);
        said.push(place);
      }
      text.endPack();
    }
    assert.equal(text.blobs, 3000);
    const json = text.take() as Buffer;
    const read: unknown[] = [];
    readIndexFile(json, { pack: (id) => read.push(id), blob: (...place) => read.push(place) });
    assert.deepEqual(read, said);
    assert.doesNotMatch(json.toString(), /"uncompressed_length":0/);
    assert.equal(text.blobs, 0);
  }
});
