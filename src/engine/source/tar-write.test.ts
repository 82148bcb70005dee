import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { makeDevice } from './posix-stat.ts';
import type { TarEntry } from './tar-entry.ts';
import { deviceNumbers, headersOf, tarBytes } from './tar-write.ts';

const plain = { mode: 0o644, uid: 0, gid: 0, user: 'root', group: 'root', mtimeSec: 1_700_000_000, mtimeNsec: 0, attributes: [] };

async function* bytesOf(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

const fileEntry = (path: string, text: string, more: object = {}): TarEntry => ({
  ...plain,
  path: path as RawString,
  type: 'file',
  sizeBytes: text.length,
  content: bytesOf(Buffer.from(text)),
  ...more,
});

async function* listed(...entries: (TarEntry | Error)[]): AsyncGenerator<TarEntry> {
  for (const entry of entries) {
    if (entry instanceof Error) throw entry;
    yield entry;
  }
}

/** The archive, as far as it comes. */
async function archive(entries: AsyncIterable<TarEntry>): Promise<{ bytes: Buffer; error: unknown }> {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of tarBytes(entries)) parts.push(part);
  } catch (error) {
    return { bytes: Buffer.concat(parts), error };
  }
  return { bytes: Buffer.concat(parts), error: undefined };
}

/** Records of the extended header, if there is one. */
function extended(entry: TarEntry): Map<string, string> {
  const bytes = headersOf(entry);
  const records = new Map<string, string>();
  if (bytes.toString('latin1', 156, 157) !== 'x') return records;
  const end = 512 + Number.parseInt(bytes.toString('latin1', 124, 135), 8);
  for (let at = 512; at < end; ) {
    const length = Number.parseInt(bytes.toString('latin1', at), 10);
    const record = bytes.toString('latin1', at, at + length);
    assert.ok(record.endsWith('\n'));
    const [, key, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(record) as unknown as [string, string, string];
    records.set(key, value);
    at += length;
  }
  return records;
}

test('lengths of extended records count themselves, whatever they hold', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 11_000 }), fc.string(), (length, name) => {
      const value = Buffer.alloc(length, 'v');
      const records = extended(fileEntry('f', '', { attributes: [{ name: `user.${name.replaceAll(/[\0\n]/g, '')}`, value }] }));
      assert.deepEqual([...records.values()], [value.toString()]);
    }),
    { seed: 1, numRuns: runs(300) },
  );
});

test('times before 1970, with nanoseconds and beyond the header are exact', () => {
  const time = (mtimeSec: number, mtimeNsec: number) => extended(fileEntry('f', '', { mtimeSec, mtimeNsec })).get('mtime');
  assert.equal(time(0, 0), undefined);
  assert.equal(time(0, 1), '0.000000001');
  assert.equal(time(-1, 999_999_999), '-0.000000001');
  assert.equal(time(-2, 500_000_000), '-1.5');
  assert.equal(time(-2, 0), '-2');
  assert.equal(time(2 ** 33, 120_000_000), '8589934592.12');
});

test('large sizes, numbers and names that the header has no room for', () => {
  assert.equal(extended(fileEntry('f', '', { sizeBytes: 2 ** 33 })).get('size'), String(2 ** 33));
  assert.equal(extended(fileEntry('f', '', { sizeBytes: 2 ** 33 - 1 })).get('size'), undefined);
  assert.equal(extended(fileEntry('f', '', { uid: 2 ** 32 - 2 })).get('uid'), String(2 ** 32 - 2));
  assert.equal(extended(fileEntry('f', '', { user: 'u'.repeat(40) })).get('uname'), 'u'.repeat(40));
  assert.equal(extended(fileEntry(`${'d'.repeat(100)}/${'f'.repeat(100)}`, '')).get('path'), undefined);
  assert.equal(extended(fileEntry('f'.repeat(101), '')).get('path'), 'f'.repeat(101));
  const bytes = extended(fileEntry(`\xff${'f'.repeat(101)}`, ''));
  assert.deepEqual([...bytes.keys()], ['hdrcharset', 'path']);
});

test('device numbers are taken apart as they were put together', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4095 }), fc.integer({ min: 0, max: 1_048_575 }), (major, minor) =>
      assert.deepEqual(deviceNumbers(makeDevice(major, minor)), { major, minor }),
    ),
    { seed: 3 },
  );
});

test('an archive that was cut is no whole one to tar, wherever the error came', async (t) => {
  const folder = scratch(t);
  const list = (input: Buffer) => spawnSync('tar', ['-tf', '-'], { input, cwd: folder }).status;
  const whole = await archive(listed(fileEntry('a', 'x'.repeat(512)), fileEntry('b', '')));
  assert.equal(list(whole.bytes), 0);
  assert.equal(whole.bytes.length, 10_240);
  async function* failing(length: number): AsyncGenerator<Uint8Array> {
    if (length > 0) yield Buffer.alloc(length);
    throw new Error('lost');
  }
  const cuts: TarEntry[][] = [0, 1, 511, 512, 1023].map((length) => [fileEntry('a', 'y'.repeat(1024), { content: failing(length) })]);
  for (const entries of cuts) {
    const { bytes, error } = await archive(listed(fileEntry('before', 'text'), ...entries));
    assert.match(String(error), /lost/);
    assert.notEqual(list(bytes), 0);
  }
  const between = await archive(listed(fileEntry('before', 'z'.repeat(512)), new Error('lost')));
  assert.match(String(between.error), /lost/);
  assert.notEqual(list(between.bytes), 0);
  const short = await archive(listed(fileEntry('a', 'four', { sizeBytes: 5 })));
  assert.equal((short.error as { code?: string }).code, 'internal');
  assert.notEqual(list(short.bytes), 0);
});

test('a file of more than 8 GiB is extracted whole', async (t) => {
  const folder = scratch(t);
  const piece = Buffer.alloc(64 * 1024 * 1024);
  const sizeBytes = 2 ** 33 + 5;
  async function* content(): AsyncGenerator<Uint8Array> {
    for (let left = sizeBytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
  }
  // A sparse file of the archive: what lies between its headers and its end is never written.
  const file = join(folder, 'x.tar');
  const fd = openSync(file, 'w');
  let at = 0;
  for await (const bytes of tarBytes(listed(fileEntry('large', '', { sizeBytes, content: content() }), fileEntry('after', 'text')))) {
    if (bytes.buffer !== piece.buffer) writeSync(fd, bytes, 0, bytes.length, at);
    at += bytes.length;
  }
  closeSync(fd);
  assert.match(execFileSync('tar', ['-tvf', file], { encoding: 'utf8' }), new RegExp(` ${sizeBytes} .* large\n.* 4 .* after\n$`));
});

test('names are extracted byte by byte', async (t) => {
  const folder = scratch(t);
  const names = ['\xff\xfe', 'k\xc3\xa4se', 'new\nline', `\xe9${'long'.repeat(40)}`, ` ${'ü'.repeat(150)}`.slice(0, 200), 'x'.repeat(255)];
  const { bytes } = await archive(listed(...names.map((name, i) => fileEntry(name, `${i}`))));
  execFileSync('tar', ['-C', folder, '-xf', '-'], { input: bytes, stdio: ['pipe', 'ignore', 'ignore'] });
  assert.deepEqual(readdirSync(folder, { encoding: 'latin1' }).sort(), [...names].sort());
  assert.equal(readFileSync(Buffer.from(join(folder, '\xff\xfe'), 'latin1'), 'utf8'), '0');
});

test('ACLs as text, or as the attributes that they are', () => {
  const acl = Buffer.from('0200000001000600ffffffff04000400ffffffff20000000ffffffff', 'hex');
  const entry = fileEntry('with acl', '', { attributes: [{ name: 'system.posix_acl_access', value: acl }] });
  assert.match(headersOf(entry).toString('latin1'), / SCHILY\.acl\.access=user::rw-,group::r--,other::---\n/);
  const bytes = headersOf(entry, { aclsAsAttributes: true });
  assert.ok(bytes.includes(Buffer.concat([Buffer.from(' SCHILY.xattr.system.posix_acl_access='), acl, Buffer.from('\n')])));
  assert.ok(!bytes.includes('SCHILY.acl'));
});
