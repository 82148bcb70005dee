import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requirePeer, scratch } from '../../../test/peers.ts';
import { fc, runs } from '../../../test/properties.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { TarEntry, TarMetadata } from './tar-entry.ts';
import { readTar } from './tar-read.ts';
import { tarBytes } from './tar-write.ts';

type Read = TarMetadata & {
  type: TarEntry['type'];
  sizeBytes: number;
  target: RawString;
  major: number;
  minor: number;
  bytes: Buffer;
};
const nothing = { sizeBytes: 0, target: '' as RawString, major: 0, minor: 0 };

async function* pieces(archive: Buffer, length = archive.length || 1): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += length) yield archive.subarray(at, at + length);
}

async function readAll(archive: Buffer, pieceLength?: number, notices: string[] = []): Promise<Read[]> {
  const entries: Read[] = [];
  for await (const entry of readTar(pieces(archive, pieceLength), (what) => notices.push(what))) {
    const parts: Buffer[] = [];
    if (entry.type === 'file') for await (const part of entry.content) parts.push(Buffer.from(part));
    const { content: _, ...rest } = { content: undefined, ...entry };
    entries.push({ ...nothing, ...rest, bytes: Buffer.concat(parts) });
  }
  return entries;
}

const isDamaged = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'archive-damaged';

async function archiveOf(...entries: TarEntry[]): Promise<Buffer> {
  async function* listed(): AsyncGenerator<TarEntry> {
    yield* entries;
  }
  const parts: Uint8Array[] = [];
  for await (const part of tarBytes(listed())) parts.push(part);
  return Buffer.concat(parts);
}

const plain = { mode: 0o644, uid: 0, gid: 0, user: 'root', group: 'root', mtimeSec: 1_700_000_000, mtimeNsec: 0, attributes: [] };

function fileEntry(path: string, bytes: Buffer | string, more: object = {}): TarEntry {
  const content = Buffer.from(bytes as string);
  return { ...plain, path: path as RawString, type: 'file', sizeBytes: content.length, content: pieces(content), ...more };
}

/** A header with other bytes at a place, and the checksum of that. */
function patched(archive: Buffer, at: number, bytes: string | Buffer): Buffer {
  const copy = Buffer.from(archive);
  copy.set(Buffer.from(bytes as string), at);
  const header = copy.subarray(at - (at % 512), at - (at % 512) + 512);
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}

/** Files of all kinds: names that are no text or too long for a header, holes at all places, links. */
function makeTree(t: TestContext): string {
  const folder = join(scratch(t), 'tree');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'short'), 'short\n');
  writeFileSync(join(folder, 'empty'), '');
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe]), Buffer.alloc(150, 'n')]), 'no text');
  writeFileSync(join(folder, 'sub', 'block'), Buffer.alloc(512, 'b'));
  linkSync(join(folder, 'short'), join(folder, 'sub', 'other'));
  symlinkSync('../nowhere', join(folder, 'sub', 'symlink'));
  writeFileSync(join(folder, 'hole'), 'begin');
  truncateSync(join(folder, 'hole'), 3_000_001);
  const many = openSync(join(folder, 'many'), 'w');
  for (let i = 0; i < 80; i += 2) writeSync(many, `segment ${i}`, i * 65_536);
  ftruncateSync(many, 80 * 65_536 + 17);
  closeSync(many);
  utimesSync(join(folder, 'short'), 1_600_000_000, 1_600_000_000.5);
  return folder;
}

function compareWithDisk(folder: string, entries: Read[], { names = true } = {}): void {
  const files = new Map<string, Read>();
  for (const entry of entries) files.set(entry.path.replace(/^\.\//, '').replace(/\/$/, ''), entry);
  const root = Buffer.from(`${folder}/`);
  for (const found of readdirSync(folder, { recursive: true, encoding: 'buffer' }) as Buffer[]) {
    const entry = files.get(found.toString('latin1'));
    if (!names && found.length > 99) continue;
    assert.ok(entry, found.toString('latin1'));
    const path = Buffer.concat([root, found]);
    const stat = lstatSync(path);
    assert.equal(entry.mtimeSec, Math.floor(stat.mtimeMs / 1000));
    if (entry.type === 'link') assert.ok(files.get(entry.target.replace(/^\.\//, '')), entry.target);
    else assert.equal(entry.type, stat.isDirectory() ? 'dir' : stat.isSymbolicLink() ? 'symlink' : 'file');
    if (entry.type !== 'symlink') assert.equal(entry.mode, stat.mode & 0o7777);
    if (entry.type === 'file') assert.ok(entry.bytes.equals(readFileSync(path)), entry.path);
    assert.equal(entry.sizeBytes, entry.bytes.length);
  }
}

for (const options of [
  ['--format=v7'],
  ['--format=ustar'],
  ['--format=oldgnu', '--sparse'],
  ['--format=gnu', '--sparse'],
  ['--format=gnu', '--incremental'],
  ['--format=pax'],
  ['--format=pax', '--sparse', '--sparse-version=0.0'],
  ['--format=pax', '--sparse', '--sparse-version=0.1'],
  ['--format=pax', '--sparse', '--sparse-version=1.0'],
]) {
  test(`what GNU tar writes with ${options.join(' ')}`, async (t) => {
    const folder = makeTree(t);
    const names = !['--format=v7', '--format=ustar'].includes(options[0] as string);
    const leaveOut = names ? [] : ['--exclude=*nnn*'];
    const archive = execFileSync('tar', [...options, ...leaveOut, '-cf', '-', '-C', folder, '.'], {
      maxBuffer: 1e9,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const whole = await readAll(archive);
    compareWithDisk(folder, whole, { names });
    assert.deepEqual(await readAll(archive, 777), whole);
  });
}

test('what busybox writes', async (t) => {
  const folder = makeTree(t);
  const busybox = requirePeer(t, 'busybox');
  if (busybox === undefined) return;
  compareWithDisk(folder, await readAll(execFileSync(busybox, ['tar', 'cf', '-', '-C', folder, '.'], { maxBuffer: 1e9 })));
});

test('attributes and ACLs as text', async () => {
  const acl = Buffer.from('0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff', 'hex');
  const attributes = [
    { name: 'system.posix_acl_access', value: acl },
    { name: 'user.50%=half', value: Buffer.from([0, 10, 255]) },
    { name: 'user.empty', value: Buffer.alloc(0) },
  ];
  const [entry] = await readAll(await archiveOf(fileEntry('f', 'x', { attributes })));
  assert.deepEqual(entry?.attributes, attributes);
});

test('attributes as libarchive writes them, in two forms', async () => {
  const record = (text: string) => `${text.length + 4} ${text}\n`;
  const records = `${record('LIBARCHIVE.xattr.user.a%20b=AAEC')}${record('SCHILY.xattr.user.a%20b=abc')}${record('SCHILY.xattr.user.c%3Dd=xyzzy')}`;
  const archive = patched(await archiveOf(fileEntry('x', records), fileEntry('f', 'x')), 156, 'x');
  const [entry] = await readAll(archive);
  assert.deepEqual(entry?.attributes, [
    { name: 'user.a b', value: Buffer.from([0, 1, 2]) },
    { name: 'user.c=d', value: Buffer.from('xyzzy') },
  ]);
});

const rawName = fc
  .array(
    fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 0x2f),
    { minLength: 1, maxLength: 300 },
  )
  .map((bytes) => String.fromCharCode(...bytes));

test('what tar-write writes is what is read', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        path: rawName,
        bytes: fc.uint8Array({ maxLength: 1500 }),
        mode: fc.integer({ min: 0, max: 0o7777 }),
        uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        user: fc.string({ maxLength: 40 }).map((text) => text.replaceAll(/[\0\n]/g, '')),
        mtimeSec: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
        mtimeNsec: fc.integer({ min: 0, max: 999_999_999 }),
        target: rawName,
      }),
      fc.integer({ min: 1, max: 2000 }),
      async ({ bytes, target, ...metadata }, pieceLength) => {
        const more = { ...metadata, path: metadata.path as RawString };
        const archive = await archiveOf(fileEntry('', Buffer.from(bytes), more), {
          ...plain,
          ...more,
          type: 'symlink',
          target: target as RawString,
        });
        const [file, link] = await readAll(archive, pieceLength);
        const { path, mode, uid, gid, user, mtimeSec, mtimeNsec } = file as Read;
        assert.deepEqual({ path, mode, uid, gid, user, mtimeSec, mtimeNsec }, metadata);
        assert.ok(file?.bytes.equals(bytes));
        assert.equal(link?.target, target);
      },
    ),
    { seed: 4, numRuns: runs(200) },
  );
});

test('a cut archive is never taken for a whole one', async () => {
  const archive = await archiveOf(fileEntry('a', Buffer.alloc(700, 'a')), fileEntry('ä'.repeat(120), 'b'), {
    ...plain,
    path: 'd' as RawString,
    type: 'dir',
  });
  const end = archive.lastIndexOf('ustar') + 512 - 257;
  for (let length = 0; length < end; length += 64) await assert.rejects(readAll(archive.subarray(0, length)), isDamaged, String(length));
  assert.equal((await readAll(archive.subarray(0, end + 512))).length, 3);
});

test('contents that nobody reads are passed over, and a stream that is not read to its end is let go', async () => {
  const archive = await archiveOf(fileEntry('a', Buffer.alloc(700_000, 'a')), fileEntry('b', 'b'));
  const names: string[] = [];
  for await (const { path } of readTar(pieces(archive, 1000))) names.push(path);
  assert.deepEqual(names, ['a', 'b']);
  let closed = false;
  async function* watched(): AsyncGenerator<Buffer> {
    try {
      yield* pieces(archive, 1000);
    } finally {
      closed = true;
    }
  }
  for await (const _ of readTar(watched())) break;
  assert.ok(closed);
});

test('a second archive behind the first is told of', async () => {
  const archive = await archiveOf(fileEntry('a', 'a'));
  const notices: string[] = [];
  await readAll(archive, undefined, notices);
  assert.deepEqual(notices, []);
  await readAll(Buffer.concat([archive, archive]), undefined, notices);
  assert.match(notices.join(), /behind the end/);
});

test('sizes and lengths that make no sense are refused before memory is taken', async () => {
  const archive = await archiveOf(fileEntry('f', 'x'.repeat(600)));
  const huge = Buffer.from('80000000ffffffffffffffff', 'hex');
  const cases: [string, Buffer][] = [
    ['an extended header of 8 GiB', patched(patched(archive, 156, 'x'), 124, '77777777777\0')],
    ['a long name of 8 GiB', patched(patched(archive, 156, 'L'), 124, '77777777777\0')],
    ['a size beyond 2^53', patched(archive, 124, huge)],
    ['a size below zero', patched(archive, 124, Buffer.alloc(12, 0xff))],
    ['a size that is no number', patched(archive, 124, 'twelve bytes')],
    ['a checksum that is none', Buffer.concat([Buffer.alloc(512, 'x'), archive])],
    ['a part of several volumes', patched(archive, 156, 'M')],
    ['an extended header of something else', patched(archive, 156, 'x')],
  ];
  for (const [what, bytes] of cases) await assert.rejects(readAll(bytes), isDamaged, what);
});

test('sparse maps that lie are refused', async () => {
  const sparse = (size: string, map: string) => {
    const records = [`GNU.sparse.size=${size}`, `GNU.sparse.map=${map}`].map((text) => `${text.length + 4} ${text}\n`).join('');
    return archiveOf(fileEntry('x', records), fileEntry('f', 'abc')).then((archive) => patched(archive, 156, 'x'));
  };
  const [good] = await readAll(await sparse('0010', '01,1,3,2'));
  assert.equal(good?.bytes.toString('latin1'), '\0a\0bc\0\0\0\0\0');
  for (const [size, map] of [
    ['0010', '03,1,1,2'],
    ['0010', '01,1,9,2'],
    ['0010', '01,1,3,1'],
    ['0010', '01,1,3,3'],
    ['0010', '01,1,3,-'],
    ['9'.repeat(18), '01,1,3,2'],
  ] as const)
    await assert.rejects(
      sparse(size, map).then((archive) => readAll(archive)),
      isDamaged,
      `${size} ${map}`,
    );
});

test('whatever the bytes, there are entries or a damaged archive', async (t) => {
  const folder = makeTree(t);
  const archives = ['--format=gnu', '--format=pax'].map((format) =>
    execFileSync('tar', [format, '--sparse', '--exclude=many', '-cf', '-', '-C', folder, '.'], { maxBuffer: 1e9 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...archives),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (archive, changes, repair) => {
        let bytes: Buffer = Buffer.from(archive);
        for (const [place, byte] of changes) {
          const at = place % bytes.length;
          bytes[at] = byte;
          // With a right checksum the change reaches the fields.
          if (repair) bytes = patched(bytes, at, Buffer.from([byte]));
        }
        try {
          for await (const entry of readTar(pieces(bytes))) {
            if (entry.type !== 'file' || entry.sizeBytes > 1e8) continue;
            let length = 0;
            for await (const part of entry.content) length += part.length;
            assert.equal(length, entry.sizeBytes);
          }
        } catch (error) {
          if (!isDamaged(error)) throw error;
        }
      },
    ),
    { seed: 5, numRuns: runs(400) },
  );
});
