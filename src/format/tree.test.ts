import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { anyText, fc, runs } from '../../test/properties.ts';
import type { ErrorCode } from '../model/errors.ts';
import { HoldfastError } from '../model/errors.ts';
import type { BlobId } from '../model/ids.ts';
import type { NodeType, TreeNode } from '../model/node.ts';
import { rawFromBytes, rawFromText } from '../model/raw-bytes.ts';
import { decodeTree, encodeTree } from './tree.ts';

/**
 * Trees that restic wrote, of one directory full of awkward names, targets, attributes, owners, devices, modes and
 * times, as `restic cat blob` printed them: with 0.19.1, and with 0.14.0, which knew no `linktarget_raw`.
 */
const vector = (version: string): Buffer =>
  readFileSync(new URL(`../../test/vectors/fixtures/tree-restic-${version}.json`, import.meta.url));
const vector019 = vector('0.19.1');

const code = (expected: ErrorCode) => (error: unknown) => {
  assert.ok(error instanceof HoldfastError, String(error));
  assert.equal(error.code, expected, error.message);
  return true;
};

const byName = (nodes: readonly TreeNode[]) => new Map(nodes.map((node) => [node.name, node]));

test("restic 0.19.1's bytes are reproduced", () => {
  const nodes = decodeTree(vector019);
  assert.equal(nodes.length, 88);
  assert.equal(encodeTree(nodes).toString(), vector019.toString());
  assert.ok(encodeTree(nodes).equals(vector019));
});

test('restic 0.14.0 and 0.19.1 are read as the same nodes', () => {
  const old = byName(decodeTree(vector('0.14.0')));
  for (const node of decodeTree(vector019)) {
    // 0.14.0 lost the bytes of this target.
    if (node.name !== 'ln-raw') assert.deepEqual(old.get(node.name), node);
  }
});

test('an awkward directory is understood', () => {
  const nodes = byName(decodeTree(vector019));
  const of = (name: string | number[]) => nodes.get(rawFromBytes(Buffer.from(name as string))) as TreeNode;
  assert.equal(of([0xff, 0xfe, ...Buffer.from('.bin')]).type, 'file');
  assert.equal(of('new\nline').links, 1);
  assert.deepEqual(of('empty').content, []);
  assert.equal(of('fifo').content, undefined);
  assert.equal(of('ln-raw').linkTarget, rawFromBytes(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('target<>&"\\\n')])));
  assert.equal(of('ln-utf8').linkTarget, rawFromText('tär\u2028get\x01\b\f'));
  assert.equal(of('hard1').inode, of('hard2').inode);
  assert.equal(of('hard1').links, 2);
  assert.equal(of('owner2').uid, 4294967294);
  assert.equal(of('chr').device, 0x103);
  assert.equal(of('emptydir').subtree?.length, 64);
  const attributes = new Map(of('xattr').extendedAttributes.map(({ name, value }) => [name, value]));
  assert.deepEqual(attributes.get('user.bin'), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
});

const template = {
  name: 'a',
  type: 'file',
  mode: 420,
  mtime: '2026-01-01T00:00:00Z',
  atime: '2026-01-01T00:00:00Z',
  ctime: '2026-01-01T00:00:00Z',
  uid: 0,
  gid: 0,
  content: [],
};
const decodeOne = (change: object): TreeNode =>
  decodeTree(Buffer.from(JSON.stringify({ nodes: [{ ...template, ...change }] })))[0] as TreeNode;

test('an empty tree', () => {
  assert.equal(encodeTree([]).toString(), '{"nodes":[]}\n');
  assert.deepEqual(decodeTree(Buffer.from('{"nodes":[]}\n')), []);
  assert.deepEqual(decodeTree(Buffer.from('{"nodes":null}')), []);
});

test('numbers of 64 bits are exact', () => {
  const text = `{"nodes":[{"name":"a","type":"dev","mtime":"2026-01-01T00:00:00Z","atime":"2026-01-01T00:00:00Z","ctime":"2026-01-01T00:00:00Z",\
"uid":0,"gid":0,"inode":18446744073709551615,"device_id":9007199254740993,"size":9007199254740991,"links":9007199254740992,\
"device":10000000000000000001,"content":null}]}\n`;
  const [node] = decodeTree(Buffer.from(text)) as [TreeNode];
  assert.equal(node.inode, 18446744073709551615n);
  assert.equal(node.deviceId, 9007199254740993n);
  assert.equal(node.size, 9007199254740991);
  assert.equal(encodeTree([node]).toString(), text);
});

test('one long number is enough to be exact', () => {
  for (const size of [9007199254740993n, 10000000000000001n, 123456789012345678n]) {
    assert.equal(decodeTree(Buffer.from(`{"nodes":[{"name":"a","size":${size}}]}`))[0]?.size, size);
    assert.equal(decodeTree(Buffer.from(`{ "nodes" : [ { "name" : "a", "size" : ${size} } ] }`))[0]?.size, size);
  }
});

test('owners are written for each node', () => {
  const owners = [
    ['u', 'g'],
    ['u', 'h'],
    ['v', 'h'],
    ['', 'h'],
    ['v', ''],
    ['', ''],
  ] as const;
  const nodes = owners.map(([user, group], index) => ({ ...decodeOne({}), name: rawFromText(`${index}`), user, group }));
  assert.deepEqual(decodeTree(encodeTree(nodes)), nodes);
  assert.match(encodeTree(nodes.slice(3, 4)).toString(), /"gid":0,"group":"h","content"/);
});

test('unknown fields are kept, generic attributes in their place, also in hostile shapes', () => {
  const text = `{"nodes":[{"name":"a","type":"file","mtime":"2026-01-01T00:00:00Z","atime":"2026-01-01T00:00:00Z","ctime":"2026-01-01T00:00:00Z",\
"uid":0,"gid":0,"generic_attributes":{"windows.creation_time":"\\u003cAAA=","n":18446744073709551615},"device":7,"content":[],"error":"e",\
"future":{"x":[1,null,"\\u0026"]},"__proto__":{"y":true}}]}\n`;
  assert.equal(encodeTree(decodeTree(Buffer.from(text))).toString(), text);
  assert.throws(() => decodeOne({ future: JSON.parse('['.repeat(200) + ']'.repeat(200)) }), code('damaged'));
  assert.throws(() => decodeTree(Buffer.from(`{"nodes":${'['.repeat(1e6)}`)), code('damaged'));
  assert.throws(() => decodeTree(Buffer.from(`{"x":${'['.repeat(1e5)}1234567890123456789${']'.repeat(1e5)}}`)), code('damaged'));
});

test('names that would lead elsewhere are unsafe', () => {
  for (const name of ['', '.', '..', '/', 'a/b', '../x', 'a\\x00b', '\\x2e.', '\\u002f', '\\056']) {
    assert.throws(() => decodeOne({ name }), code('unsafe-name'), name);
  }
  for (const name of ['...', '.a', 'a.', ' ']) assert.equal(decodeOne({ name }).name, name);
});

test('what is not a tree is damaged', () => {
  const id = 'a'.repeat(64);
  for (const text of [
    '',
    'null',
    '[]',
    '1',
    '{',
    '{}',
    '{"nodes":{}}',
    '{"nodes":[1]}',
    '{"nodes":[null]}',
    '{"nodes":[[]]}',
    '{"nodes":[{}]}',
  ]) {
    assert.throws(() => decodeTree(Buffer.from(text)), code('damaged'), text);
  }
  const changes: object[] = [
    { name: undefined },
    { name: 1 },
    { name: 'a"' },
    { name: '\\q' },
    { type: 1 },
    { type: '"' },
    { mode: -1 },
    { mode: 2 ** 32 },
    { mode: 1.5 },
    { mtime: 'yesterday' },
    { atime: 1 },
    { ctime: '2026-02-30T00:00:00Z' },
    { uid: '0' },
    { user: 1 },
    { inode: -1 },
    { size: 1e30 },
    { links: true },
    { linktarget: [] },
    { linktarget_raw: '*' },
    { linktarget_raw: 'AAA' },
    { extended_attributes: {} },
    { extended_attributes: [null] },
    { extended_attributes: [{ name: 'a', value: '=A==' }] },
    { content: 'x' },
    { content: [1] },
    { content: ['A'.repeat(64)] },
    { subtree: id.slice(1) },
    { subtree: 1 },
    { error: 0 },
  ];
  for (const change of changes) assert.throws(() => decodeOne(change), code('damaged'), JSON.stringify(change));
  assert.throws(() => decodeTree(Buffer.from('{"nodes":[{"name":"a","inode":18446744073709551616}]}')), code('damaged'));
});

test('old trees: unsorted is read, a name twice is not; fields may be missing', () => {
  const tree = (...names: string[]) => decodeTree(Buffer.from(JSON.stringify({ nodes: names.map((name) => ({ ...template, name })) })));
  assert.deepEqual(
    tree('b', 'a', 'c').map((node) => node.name),
    ['b', 'a', 'c'],
  );
  assert.throws(() => tree('b', 'a', 'b'), code('damaged'));
  assert.throws(() => tree('a', '\\x61'), code('damaged'));
  const [bare] = decodeTree(Buffer.from('{"nodes":[{"name":"a"}]}')) as [TreeNode];
  assert.equal(bare.mtime, '0001-01-01T00:00:00Z');
  assert.equal(bare.content, undefined);
});

test('a caller who does not sort by raw bytes is told', () => {
  const nodes = ['a', 'b'].map((name) => ({ ...decodeOne({}), name: rawFromText(name) }));
  assert.throws(() => encodeTree(nodes.toReversed()), code('internal'));
  assert.throws(() => encodeTree([nodes[0] as TreeNode, nodes[0] as TreeNode]), code('internal'));
});

const rawArbitrary = fc
  .oneof(fc.string({ minLength: 1 }), anyText({ minLength: 1 }), fc.uint8Array({ minLength: 1, maxLength: 20 }))
  .map((value) => rawFromBytes(Buffer.from(value as string)));
const nameArbitrary = rawArbitrary.filter((name) => name !== '.' && name !== '..' && !/[/\0]/.test(name));
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => (value <= Number.MAX_SAFE_INTEGER ? Number(value) : value));
const someUint64 = fc.oneof(fc.nat(), uint64);
const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex') as BlobId);
const text = anyText({ maxLength: 12 });
const time = fc.constantFrom('2026-03-29T01:59:59.000000001+01:00', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.5-23:59');
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Objects as the decoder makes them. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => fc.record(model, { noNullPrototype: true });
const nodeArbitrary: fc.Arbitrary<TreeNode> = plainRecord({
  name: nameArbitrary,
  type: fc.constantFrom<NodeType>('file', 'dir', 'symlink', 'dev', 'chardev', 'fifo', 'socket', 'irregular', ''),
  mode: uint32,
  mtime: time,
  atime: time,
  ctime: time,
  uid: uint32,
  gid: uint32,
  user: text,
  group: text,
  inode: someUint64,
  deviceId: someUint64,
  size: someUint64,
  links: someUint64,
  linkTarget: fc.option(rawArbitrary, { nil: undefined }),
  extendedAttributes: fc.array(
    plainRecord({
      name: text,
      value: fc.option(
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        { nil: undefined },
      ),
    }),
    { maxLength: 2 },
  ),
  device: someUint64,
  content: fc.option(fc.array(id, { maxLength: 3 }), { nil: undefined }),
  subtree: fc.option(id, { nil: undefined }),
  error: text,
  unknown: fc.option(fc.constant({ future: [1, 'x', null] as unknown }), { nil: undefined }),
});

test('any nodes survive', () => {
  const nodes = fc
    .uniqueArray(nodeArbitrary, { selector: (node) => node.name, maxLength: 4 })
    .map((list) => list.sort((a, b) => (a.name < b.name ? -1 : 1)));
  fc.assert(fc.property(nodes, (list) => assert.deepEqual(decodeTree(encodeTree(list)), list)));
});

/** Decodes hostile bytes: a refusal is a catalogued error; what is accepted can be written and read again. */
function decodeHostile(bytes: Buffer): void {
  let nodes: TreeNode[];
  try {
    nodes = decodeTree(bytes);
  } catch (error) {
    assert.ok(error instanceof HoldfastError && (error.code === 'damaged' || error.code === 'unsafe-name'), String(error));
    return;
  }
  nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(decodeTree(encodeTree(nodes)), nodes);
}

test('bytes that were damaged anywhere are refused or still make sense', () => {
  const edit = fc.record({ at: fc.nat(vector019.length), drop: fc.nat(40), add: fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.string()) });
  fc.assert(
    fc.property(fc.nat(vector019.length), fc.array(edit, { minLength: 1, maxLength: 3 }), (start, edits) => {
      let bytes = Buffer.concat([Buffer.from('{"nodes":['), vector019.subarray(vector019.indexOf('{"name"', start % 20_000))]);
      for (const { at, drop, add } of edits) {
        const cut = at % (bytes.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, cut), Buffer.from(add as string), bytes.subarray(cut + drop)]);
      }
      decodeHostile(bytes);
    }),
    { numRuns: runs(500) },
  );
});

test('fields of any JSON are refused or still make sense', () => {
  const field = fc.constantFrom(
    ...['name', 'type', 'mode', 'mtime', 'ctime', 'uid', 'user', 'inode', 'size', 'linktarget', 'linktarget_raw'],
    ...['extended_attributes', 'generic_attributes', 'device', 'content', 'subtree', 'error', 'future'],
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(field, fc.jsonValue({ maxDepth: 2 })), { maxLength: 3 }), (changes) => {
      decodeHostile(Buffer.from(JSON.stringify({ nodes: [{ ...template, ...Object.fromEntries(changes) }] })));
    }),
    { numRuns: runs(2000) },
  );
});
