import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../test/properties.ts';
import type { PackId } from '../model/ids.ts';
import { indexFileFromFragments, indexFragment, readIndexFile } from './index-file.ts';
import { HeaderBuilder, parseHeaderEntries } from './pack-header.ts';

type Said = [string, string, string, number, number, number];

function read(json: Buffer): Said[] {
  const said: Said[] = [];
  let pack = '';
  readIndexFile(json, {
    pack: (id) => {
      pack = id;
    },
    blob: (kind, id, offset, length, plainLength) => said.push([pack, kind, id, offset, length, plainLength]),
  });
  return said;
}

const hexId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => Buffer.from(id).toString('hex'));
const blob = fc.record({ tree: fc.boolean(), id: hexId, length: fc.integer({ min: 32, max: 100_000 }), plainLength: fc.nat(1_000_000) });

test("an index says what the packs' headers say", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id: hexId, blobs: fc.array(blob, { minLength: 1, maxLength: 20 }) }), { maxLength: 5 }), (packs) => {
      const expected: Said[] = [];
      const fragments = packs.map(({ id, blobs }) => {
        const header = new HeaderBuilder();
        for (const { tree, id, length, plainLength } of blobs)
          header.add(tree ? 'tree' : 'data', Buffer.from(id, 'hex'), length, plainLength);
        const entries = Buffer.from(header.bytes());
        for (const entry of parseHeaderEntries(entries))
          expected.push([id, entry.kind, entry.id, entry.offset, entry.length, entry.plainLength]);
        return indexFragment(id as PackId, entries);
      });
      assert.deepEqual(read(indexFileFromFragments(fragments)), expected);
    }),
  );
});

const id = 'ab'.repeat(32);
const withBlob = (blob: object) => Buffer.from(JSON.stringify({ packs: [{ id, blobs: [blob] }] }));
const good = { id, type: 'data', offset: 5, length: 100, uncompressed_length: 200 };

test('what restic writes in other versions is read', () => {
  assert.deepEqual(read(withBlob({ ...good, uncompressed_length: undefined })), [[id, 'data', id, 5, 100, 0]]);
  assert.deepEqual(read(Buffer.from(`{"supersedes":["${id}"],"packs":[{"id":"${id}","blobs":[]}]}`)), []);
  for (const empty of ['{}', '{"packs":null}', '{"packs":[]}']) assert.deepEqual(read(Buffer.from(empty)), []);
});

test('what makes no sense is damage', () => {
  const wrong = [
    { id: 'short' },
    { id: id.toUpperCase() },
    { id: 7 },
    { type: 'leaf' },
    { offset: -1 },
    { offset: 1.5 },
    { offset: '5' },
    { length: 2 ** 32 },
    { length: undefined },
    { uncompressed_length: -1 },
  ];
  for (const change of wrong) assert.throws(() => read(withBlob({ ...good, ...change })), { code: 'damaged' }, JSON.stringify(change));
  const documents = [
    '',
    'null',
    '[]x',
    '7',
    '"text"',
    '{"packs":7}',
    '{"packs":[7]}',
    `{"packs":[{"id":"x","blobs":[]}]}`,
    `{"packs":[{"id":"${id}","blobs":{}}]}`,
  ];
  for (const text of [...documents, `{"packs":[{"id":"${id}","blobs":[null]}]}`])
    assert.throws(() => read(Buffer.from(text)), { code: 'damaged' }, text);
});

test('however it is laid out, it says the same', () => {
  const pack = (number: number) => ({ id: number.toString(16).padStart(2, '0').repeat(32), blobs: [{ ...good, offset: number }] });
  const packs = [pack(1), pack(2), pack(3)];
  const said = packs.map((one) => [one.id, 'data', id, one.blobs[0]?.offset, 100, 200]);
  const odd = { ...pack(2), note: 'a string with ]} in it', more: [{ nested: [[]] }] };
  const layouts = [
    JSON.stringify({ packs }),
    `${JSON.stringify({ packs })}\n`,
    JSON.stringify({ packs }, undefined, 2),
    JSON.stringify({ packs, supersedes: [id] }),
    JSON.stringify({ supersedes: [id], packs }),
    JSON.stringify({ packs: [packs[0], odd, packs[2]] }),
    JSON.stringify({ packs: [odd, packs[0], packs[2]].toSorted((a, b) => ((a?.id ?? '') < (b?.id ?? '') ? -1 : 1)) }),
    JSON.stringify({ packs: packs.map(({ id, blobs }) => ({ blobs, id })) }),
  ];
  for (const layout of layouts) assert.deepEqual(read(Buffer.from(layout)), said, layout);
  const whole = JSON.stringify({ packs });
  for (let length = 0; length < whole.length; length++) assert.throws(() => read(Buffer.from(whole.slice(0, length))), { code: 'damaged' });
  for (const end of ['}', ',', 'x', '{}']) assert.throws(() => read(Buffer.from(whole + end)), { code: 'damaged' });
});
