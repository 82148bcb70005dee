import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../test/properties.ts';
import {
  decodeReply,
  decodeStatvfs,
  decodeVersion,
  encodeInit,
  encodeRequest,
  PacketReader,
  ProtocolError,
  type Reply,
  requestTypes,
} from './sftp-protocol.ts';

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const text = (value: string | Buffer): Buffer => Buffer.concat([u32(Buffer.from(value).length), Buffer.from(value)]);
const packet = (type: number, ...fields: Buffer[]): Buffer => Buffer.concat([Buffer.of(type), ...fields]);
const framed = (body: Buffer): Buffer => Buffer.concat([u32(body.length), body]);

test('requests are laid out as the draft has it', () => {
  assert.equal(encodeInit().toString('hex'), '000000050100000003');
  const read = encodeRequest(requestTypes.read, 7, [Buffer.from('h1'), 0x1_0000_0002n, 32_768]);
  assert.equal(read.toString('hex'), '00000017050000000700000002683100000001000000020000' + '8000');
  const write = encodeRequest(requestTypes.write, 8, [Buffer.from('h'), 1n, 5], 5);
  assert.equal(write.readUInt32BE(0), write.length - 4 + 5);
});

test('replies', () => {
  const attributes = Buffer.concat([
    u32(0x8000000f),
    u32(0),
    u32(5),
    u32(1),
    u32(2),
    u32(0o100644),
    u32(10),
    u32(20),
    u32(1),
    text('x'),
    text('y'),
  ]);
  const read = { sizeBytes: 5, mode: 0o100644, modifiedSeconds: 20 };
  const cases: [Buffer, Reply][] = [
    [packet(101, u32(1), u32(4), text('Failure'), text('en')), { kind: 'status', id: 1, code: 4, message: 'Failure' }],
    [packet(101, u32(1), u32(4)), { kind: 'status', id: 1, code: 4, message: '' }],
    [packet(102, u32(2), text('h')), { kind: 'handle', id: 2, handle: Buffer.from('h') }],
    [packet(103, u32(3), text('abc')), { kind: 'data', id: 3, data: Buffer.from('abc') }],
    [packet(104, u32(4), u32(1), text('n'), text('-rw'), attributes), { kind: 'names', id: 4, entries: [{ name: 'n', attributes: read }] }],
    [packet(105, u32(5), attributes), { kind: 'attributes', id: 5, attributes: read }],
    [packet(105, u32(5), u32(0)), { kind: 'attributes', id: 5, attributes: {} }],
  ];
  for (const [bytes, reply] of cases) {
    assert.deepEqual(decodeReply(bytes), reply);
    if (reply.kind === 'status') continue;
    for (let length = 0; length < bytes.length; length++) assert.throws(() => decodeReply(bytes.subarray(0, length)), ProtocolError);
  }
  assert.deepEqual([...decodeVersion(packet(2, u32(3), text('fsync@openssh.com'), text('1')))], [['fsync@openssh.com', '1']]);
  assert.throws(() => decodeVersion(packet(2, u32(2))), ProtocolError);
  assert.throws(() => decodeStatvfs(Buffer.alloc(87)), ProtocolError);
});

test('packets come out as they went in, wherever what arrives is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })),
      fc.infiniteStream(fc.integer({ min: 1, max: 400 })),
      (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body) => framed(Buffer.from(body))));
        const reader = new PacketReader();
        const found: Buffer[] = [];
        for (let at = 0; at < stream.length; ) {
          const length = cuts.next().value ?? 1;
          for (const body of reader.push(stream.subarray(at, at + length))) found.push(Buffer.from(body));
          at += length;
        }
        assert.deepEqual(
          found,
          bodies.map((body) => Buffer.from(body)),
        );
      },
    ),
  );
});

test('a length that is too long, or none, is refused before its bytes are waited for', () => {
  for (const length of [0, 256 * 1024 + 1, 0xffffffff]) assert.throws(() => [...new PacketReader().push(u32(length))], ProtocolError);
  // A shell that greets: "Welc".
  assert.throws(() => [...new PacketReader().push(Buffer.from('Welcome!\n'))], ProtocolError);
});

test('whatever arrives is a reply or a ProtocolError', () => {
  const types = fc.constantFrom(2, 101, 102, 103, 104, 105, 201, 0, 255);
  fc.assert(
    fc.property(types, fc.uint8Array({ maxLength: 200 }), (type, bytes) => {
      for (const decode of [decodeReply, decodeVersion]) {
        try {
          decode(packet(type, Buffer.from(bytes)));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      }
    }),
    { numRuns: runs(5000) },
  );
});
