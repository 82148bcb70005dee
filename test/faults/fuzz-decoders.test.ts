/** The decoders of everything that a repository holds, fed with nonsense: they return, or throw an error for people, and nothing else. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { decodeConfig, encodeConfig } from '../../src/format/config-file.ts';
import { readIndexFile } from '../../src/format/index-file.ts';
import { parseKeyFile } from '../../src/format/key-file.ts';
import { headerLength, openHeader, parseHeaderEntries } from '../../src/format/pack-header.ts';
import { createSeal } from '../../src/format/seal.ts';
import { openJson, sealJson } from '../../src/format/sealed-json.ts';
import { decodeSnapshot } from '../../src/format/snapshot-file.ts';
import { decodeTree } from '../../src/format/tree.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import type { SnapshotId } from '../../src/model/ids.ts';
import { fc } from '../properties.ts';

const seal = createSeal({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });
const id = 'ab'.repeat(32);
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

/** Documents that a decoder accepts, to be mutated: nonsense that is almost right goes deepest. */
const documents: Record<string, { decode: (input: Buffer) => unknown; valid: object }> = {
  'index file': {
    decode: (input) => readIndexFile(input, { pack: () => undefined, blob: () => undefined }),
    valid: { supersedes: [id], packs: [{ id, blobs: [{ id, type: 'data', offset: 0, length: 100, uncompressed_length: 200 }] }] },
  },
  'key file': {
    decode: parseKeyFile,
    valid: {
      created: '2020-01-01T00:00:00Z',
      username: 'u',
      hostname: 'h',
      kdf: 'scrypt',
      N: 32768,
      r: 8,
      p: 5,
      salt: 'AAAA',
      data: 'AAAA',
    },
  },
  configuration: {
    decode: decodeConfig,
    valid: JSON.parse(encodeConfig({ version: 2, id, chunkerPolynomial: 0x3da3358b4dc173n }).toString()),
  },
  snapshot: {
    decode: (input) => decodeSnapshot(input, id as SnapshotId),
    valid: {
      time: '2020-01-01T00:00:00Z',
      tree: id,
      paths: ['/a'],
      hostname: 'h',
      tags: ['a=b'],
      summary: { files_new: 1 },
      holdfast_root: { name: '.', type: 'dir' },
    },
  },
  tree: {
    decode: decodeTree,
    valid: {
      nodes: [
        {
          name: 'a',
          type: 'file',
          mode: 420,
          mtime: '2020-01-01T00:00:00Z',
          uid: 1,
          gid: 1,
          size: 5,
          content: [id],
          extended_attributes: [{ name: 'x', value: 'AAAA' }],
        },
        { name: 'b', type: 'dir', subtree: id },
      ],
    },
  },
};

function onlyHoldfastErrors(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    assert.ok(error instanceof HoldfastError, `${(error as Error).stack}`);
    assert.notEqual(error.code, 'internal');
  }
}

/** Replaces one value somewhere in a document. */
function mutate(document: unknown, steps: readonly number[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || typeof document !== 'object' || document === null) return value;
  const keys = Object.keys(document);
  if (keys.length === 0) return value;
  const key = keys[step % keys.length] as string;
  const copy = (Array.isArray(document) ? [...document] : { ...document }) as Record<string, unknown>;
  copy[key] = mutate(copy[key], rest, value);
  return copy;
}

const hostile = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    null,
    -1,
    0,
    1.5,
    1e300,
    2 ** 32,
    2 ** 53,
    '',
    '..',
    '../x',
    'a/b',
    '\\x00',
    '\u0000',
    '__proto__',
    'constructor',
    {},
    [],
    [[]],
    [null],
    'x'.repeat(100_000),
  ),
);

for (const [name, { decode, valid }] of Object.entries(documents)) {
  test(`${name}: any bytes`, () => {
    fc.assert(
      fc.property(bytes, (input) => onlyHoldfastErrors(() => decode(input))),
      { numRuns: 500 },
    );
  });

  test(`${name}: any JSON`, () => {
    fc.assert(
      fc.property(fc.json(), (input) => onlyHoldfastErrors(() => decode(Buffer.from(input)))),
      { numRuns: 500 },
    );
  });

  test(`${name}: one value replaced`, () => {
    decode(Buffer.from(JSON.stringify(valid)));
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }), hostile, (steps, value) => {
        onlyHoldfastErrors(() => decode(Buffer.from(JSON.stringify(mutate(valid, steps, value)))));
      }),
      { numRuns: 1500 },
    );
  });

  test(`${name}: bytes flipped, cut and put in`, () => {
    const text = Buffer.from(JSON.stringify(valid));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(20), bytes, (at, skip, inserted) => {
        onlyHoldfastErrors(() => decode(Buffer.concat([text.subarray(0, at), inserted, text.subarray(at + skip)])));
      }),
      { numRuns: 1000 },
    );
  });

  test(`${name}: nested without end`, () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      for (const field of Object.keys(valid)) {
        const nested = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
        onlyHoldfastErrors(() => decode(Buffer.from(`${JSON.stringify(valid).slice(0, -1)},"${field}":${nested}}`)));
        onlyHoldfastErrors(() => decode(Buffer.from(`${JSON.stringify(valid).slice(0, -1)},"other":${nested}}`)));
      }
    }
  });
}

test('header entries', () => {
  fc.assert(
    fc.property(bytes, (input) => {
      onlyHoldfastErrors(() => {
        let end = 0;
        for (const { offset, length } of parseHeaderEntries(input)) {
          assert.equal(offset, end);
          end += length;
        }
      });
    }),
    { numRuns: 2000 },
  );
});

test('headers', () => {
  fc.assert(
    fc.property(bytes, fc.nat(1000), fc.boolean(), (input, packBytes, sealed) => {
      const header = Buffer.concat([sealed ? seal.seal(input) : input, Buffer.from([input.length + 32, 0, 0, 0])]);
      onlyHoldfastErrors(() => {
        const length = headerLength(header, packBytes + header.length);
        assert.ok(length <= packBytes + header.length);
        openHeader(seal, header.subarray(header.length - length), packBytes);
      });
    }),
    { numRuns: 2000 },
  );
});

test('sealed JSON', () => {
  fc.assert(
    fc.property(bytes, fc.boolean(), (input, sealed) => {
      onlyHoldfastErrors(() => openJson(seal, sealed ? seal.seal(input) : input));
      onlyHoldfastErrors(() => openJson(seal, seal.seal(Buffer.concat([Buffer.from([2]), input]))));
    }),
    { numRuns: 1000 },
  );
  const json = sealJson(seal, Buffer.from('{"a":1}'), 2);
  assert.deepEqual(JSON.parse(openJson(seal, json).toString()), { a: 1 });
});
