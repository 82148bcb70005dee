/** Repositories with one damage each, named by it: found, named, located, and never good enough to read wrong data from. */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { CheckResult } from '../../src/engine/maintenance/check.ts';
import { sha256Hex } from '../../src/format/kernel/sha256.ts';
import type { BlobKind } from '../../src/format/pack-header.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import type { BlobId } from '../../src/model/ids.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { makePack, type NewBlob } from './damages.ts';
import { files, type IndexedBlob, makeSmallRepository, packFile, packPath, type SmallRepository } from './small-repository.ts';

const flip = (at: number) => (bytes: Buffer) => {
  const i = at < 0 ? bytes.length + at : at;
  bytes[i] = (bytes[i] as number) ^ 1;
  return bytes;
};

type Expected = {
  kind: string;
  file?: string;
  /** Paths in any snapshot; undefined when the damage affects nobody. */
  paths?: string[];
  snapshots: number;
};

/** Every error that was found, as a short line, for messages. */
const told = ({ findings }: CheckResult) => findings.map(({ severity, kind, message }) => `${severity} ${kind}: ${message}`).join('\n');

function assertFound(result: CheckResult, { kind, file, paths, snapshots }: Expected): void {
  assert.equal(result.exitCode, 1, told(result));
  const found = result.findings.filter(
    (finding) => finding.severity === 'error' && finding.kind === kind && (file === undefined || finding.file === file),
  );
  assert.ok(found.length > 0, `no ${kind} of ${file} among:\n${told(result)}`);
  const affects = found.flatMap((finding) => finding.affects);
  assert.equal(new Set(affects.map(({ snapshot }) => snapshot)).size, snapshots, JSON.stringify(found));
  const affectedPaths = new Set(affects.flatMap((affected) => affected.paths));
  for (const path of paths ?? []) assert.ok(affectedPaths.has(path), `${path} is not among ${JSON.stringify(affects)}`);
  if (paths?.length === 0) assert.deepEqual([...affectedPaths], []);
}

/** Nobody gets wrong data: a blob reads as what its id says, or not at all. */
async function assertNeverReadsWrong(repository: SmallRepository, kind: BlobKind, id: string): Promise<void> {
  const { storage, seal } = await repository.open();
  const index = await loadIndex({ ...(await repository.open()) }, () => undefined);
  try {
    assert.equal(sha256Hex(await createBlobReader({ storage, seal, index }).read(kind, id as BlobId)), id);
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error));
  }
}

let pristine: SmallRepository;
const cleanUps: (() => void)[] = [];

describe('damage', { concurrency: 2 }, () => {
  before(async () => {
    pristine = await makeSmallRepository({ after: (cleanUp) => void cleanUps.push(cleanUp as () => void) });
  });
  after(() => {
    for (const cleanUp of cleanUps) cleanUp();
  });
  fixtures();
});

function fixture(name: string, body: (repository: SmallRepository, t: TestContext) => Promise<void>): void {
  test(name, (t) => body(pristine.copy(t), t));
}

function fixtures(): void {
  fixture('no damage', async (repository) => {
    const result = await repository.check();
    assert.deepEqual([result.exitCode, result.findings], [0, []]);
    assert.equal(result.counts.packsRead, result.counts.packs);
  });

  fixture('flipped bit in a data blob', async (repository) => {
    const { pack, offset, id } = await repository.placeOf('docs/first.txt');
    repository.damage(pack, flip(offset + 20));
    const result = await repository.check();
    assertFound(result, { kind: 'blob-damaged', file: packFile(pack), snapshots: 2, paths: ['docs/first.txt'] });
    assertFound(result, { kind: 'pack-damaged', file: packFile(pack), snapshots: 0 });
    const structure = await repository.check('structure');
    assert.deepEqual([structure.exitCode, structure.counts.packsRead], [0, 0], 'only reading the data can tell');
    await assertNeverReadsWrong(repository, 'data', id);
  });

  fixture('flipped bit in a file of one snapshot', async (repository) => {
    const { pack, offset } = await repository.placeOf('noise.bin');
    repository.damage(pack, flip(offset + 20));
    assertFound(await repository.check(), { kind: 'blob-damaged', file: packFile(pack), snapshots: 1, paths: ['noise.bin'] });
  });

  fixture('flipped bit in the authentication code', async (repository) => {
    const { pack, offset, length } = await repository.placeOf('docs/first.txt');
    repository.damage(pack, flip(offset + length - 1));
    assertFound(await repository.check(), { kind: 'blob-damaged', file: packFile(pack), snapshots: 2, paths: ['docs/first.txt'] });
  });

  fixture('flipped bit in a tree blob', async (repository) => {
    const pack = await repository.packOf('tree');
    for (const name of repository.names('data')) {
      if (name !== pack && (await repository.index()).packs.some(({ id, blobs }) => packPath(id) === name && blobs[0]?.type === 'tree')) {
        repository.damage(name, flip(20));
      }
    }
    repository.damage(pack, flip(20));
    const result = await repository.check();
    assertFound(result, { kind: 'blob-damaged', file: packFile(pack), snapshots: 1 });
    assert.ok(
      result.findings.every(({ kind }) => kind !== 'blob-missing'),
      told(result),
    );
  });

  fixture('flipped bit in a header', async (repository) => {
    const pack = await repository.packOf('data');
    repository.damage(pack, flip(-10));
    const result = await repository.check();
    assertFound(result, { kind: 'pack-header', file: packFile(pack), snapshots: 0 });
    assertFound(result, { kind: 'pack-damaged', file: packFile(pack), snapshots: 0 });
    assert.equal(result.errors, 2, told(result));
  });

  fixture('absurd header length', async (repository) => {
    const pack = await repository.packOf('data');
    repository.damage(pack, (bytes) => void bytes.writeUInt32LE(0xfffffff0, bytes.length - 4) as undefined);
    assertFound(await repository.check(), { kind: 'pack-header', file: packFile(pack), snapshots: 0 });
  });

  fixture('truncated pack', async (repository) => {
    const { pack, offset } = await repository.placeOf('docs/first.txt');
    repository.damage(pack, (bytes) => bytes.subarray(0, offset + 10));
    assertFound(await repository.check('structure'), { kind: 'pack-size', file: packFile(pack), snapshots: 2, paths: ['docs/first.txt'] });
  });

  fixture('pack with bytes appended', async (repository) => {
    const pack = await repository.packOf('data');
    repository.damage(pack, (bytes) => Buffer.concat([bytes, Buffer.alloc(10)]));
    assertFound(await repository.check(), { kind: 'pack-size', file: packFile(pack), snapshots: 0 });
  });

  fixture('empty pack', async (repository) => {
    const { pack } = await repository.placeOf('docs/first.txt');
    repository.damage(pack, () => Buffer.alloc(0));
    assertFound(await repository.check(), {
      kind: 'pack-size',
      file: packFile(pack),
      snapshots: 2,
      paths: ['docs/first.txt', 'common.txt'],
    });
  });

  fixture('missing pack of data', async (repository) => {
    const { pack } = await repository.placeOf('docs/first.txt');
    repository.remove(pack);
    const result = await repository.check();
    assertFound(result, {
      kind: 'pack-missing',
      file: packFile(pack),
      snapshots: 2,
      paths: ['docs/first.txt', 'noise.bin', 'docs/deep/er/second.txt'],
    });
    assert.equal(result.errors, 1, 'one finding stands for all blobs of the pack');
    assert.equal(result.findings[0]?.affects[0]?.volume, 'volume');
  });

  fixture('missing pack of trees', async (repository) => {
    const places = (await repository.index()).packs.filter(({ blobs }) => blobs.length > 1 && blobs[0]?.type === 'tree');
    const pack = packPath(places[0]?.id as string);
    repository.remove(pack);
    const result = await repository.check();
    assertFound(result, { kind: 'pack-missing', file: packFile(pack), snapshots: 2, paths: ['.', 'docs'] });
    assert.equal(result.errors, 1, told(result));
  });

  fixture('damaged copy of a blob that has another', async (repository) => {
    const { pack, offset } = await repository.placeOf('docs/first.txt');
    await addPack(repository, [{ kind: 'data', content: Buffer.from(files['docs/first.txt']) }]);
    repository.damage(pack, flip(offset + 20));
    assertFound(await repository.check(), { kind: 'blob-damaged', file: packFile(pack), snapshots: 0 });
  });

  fixture('pack that no index names', async (repository) => {
    const other = await makePack(repository, [{ kind: 'data', content: randomFillSync(Buffer.alloc(100)) }]);
    const result = await repository.check();
    assert.deepEqual([result.exitCode, result.notes, result.findings[0]?.kind], [0, 1, 'pack-unindexed'], told(result));
    assert.match(result.findings[0]?.message ?? '', /1 packs \(\d+ B\)/);
    repository.remove(packPath(other.id));
  });

  fixture('zstd bomb', async (repository) => {
    const content = Buffer.alloc(64 * 1024 * 1024);
    const { id } = await addPack(repository, [{ kind: 'data', content, claimedLength: 1000 }]);
    const before = process.memoryUsage().rss;
    assertFound(await repository.check(), { kind: 'blob-damaged', file: `data/${id}`, snapshots: 0 });
    assert.ok(process.memoryUsage().rss - before < content.length, 'it was inflated');
  });

  fixture('blob that claims to be enormous', async (repository) => {
    const { id } = await addPack(repository, [{ kind: 'data', content: Buffer.alloc(1000), claimedLength: 0xffffffff }]);
    assertFound(await repository.check(), { kind: 'blob-damaged', file: `data/${id}`, snapshots: 0 });
  });

  fixture('blob that does not hash to its id', async (repository) => {
    const { pack } = await repository.placeOf('noise.bin');
    const id = sha256Hex(Buffer.from(files['noise.bin']));
    const forged = await makePack(repository, [{ kind: 'data', content: Buffer.from('forged'), id }]);
    await repository.rewriteIndex(({ packs }) => {
      for (const { blobs } of packs) blobs.splice(0, blobs.length, ...blobs.filter((blob) => blob.id !== id));
      packs.push(forged);
    });
    const result = await repository.check();
    assertFound(result, { kind: 'blob-damaged', file: `data/${forged.id}`, snapshots: 1, paths: ['noise.bin'] });
    assertFound(result, { kind: 'index-mismatch', file: packFile(pack), snapshots: 0 });
    await assertNeverReadsWrong(repository, 'data', id);
  });

  fixture('tree below itself', async (repository) => {
    // A tree can hold its own id only if an index lies about where that id is.
    const snapshot = repository.names('snapshots')[0] as string;
    const root = (await repository.snapshotDocument(snapshot)).tree as string;
    await repository.rewriteIndex(({ packs }) => {
      const place = packs.flatMap(({ blobs }) => blobs).find((blob) => blob.id === root) as IndexedBlob;
      for (const blob of packs.flatMap(({ blobs }) => blobs)) {
        if (blob.type === 'tree' && blob.id !== root) blob.offset = place.offset;
      }
    });
    const result = await repository.check();
    assertFound(result, { kind: 'index-conflict', snapshots: 0 });
    assert.ok(
      result.findings.some(({ kind, affects }) => kind === 'blob-damaged' && affects.length > 0),
      told(result),
    );
  });

  const lies: { name: string; change: (blob: IndexedBlob) => Partial<IndexedBlob>; kinds: string[]; lost: boolean }[] = [
    { name: 'offset', change: (blob) => ({ offset: blob.offset + 1 }), kinds: ['index-conflict', 'blob-damaged'], lost: true },
    { name: 'length', change: (blob) => ({ length: blob.length - 1 }), kinds: ['index-conflict', 'blob-damaged'], lost: true },
    {
      name: 'offset beyond the pack',
      change: () => ({ offset: 0xf0000000 }),
      kinds: ['index-conflict', 'blob-damaged'],
      lost: true,
    },
    { name: 'length of 4 GiB', change: () => ({ length: 0xffffffff }), kinds: ['index-invalid', 'blob-missing'], lost: true },
    { name: 'length of nothing', change: () => ({ length: 3 }), kinds: ['index-invalid', 'blob-missing'], lost: true },
    { name: 'plain length', change: () => ({ uncompressed_length: 17 }), kinds: ['index-mismatch', 'blob-damaged'], lost: true },
    { name: 'type', change: () => ({ type: 'tree' }), kinds: ['index-mismatch', 'blob-missing'], lost: true },
    { name: 'id', change: () => ({ id: 'ab'.repeat(32) }), kinds: ['index-mismatch', 'blob-missing'], lost: true },
  ];
  for (const { name, change, kinds, lost } of lies) {
    fixture(`index lies: ${name}`, async (repository) => {
      const { id } = await repository.placeOf('docs/first.txt');
      await repository.rewriteIndex(({ packs }) => {
        for (const blob of packs.flatMap(({ blobs }) => blobs)) if (blob.id === id) Object.assign(blob, change(blob));
      });
      const result = await repository.check();
      for (const kind of kinds)
        assert.ok(
          result.findings.some((finding) => finding.kind === kind),
          `no ${kind} among:\n${told(result)}`,
        );
      const paths = result.findings.flatMap(({ affects }) => affects.flatMap((affected) => affected.paths));
      assert.equal(paths.includes('docs/first.txt'), lost, told(result));
      await assertNeverReadsWrong(repository, 'data', id);
    });
  }

  fixture('two index files that disagree on a place', async (repository) => {
    const { id } = await repository.placeOf('docs/first.txt');
    const document = await repository.index();
    const pack = document.packs.find(({ blobs }) => blobs.some((blob) => blob.id === id));
    const other = structuredClone(pack as { id: string; blobs: IndexedBlob[] });
    for (const blob of other.blobs) if (blob.id === id) blob.offset += 5;
    await repository.addIndex({ packs: [other] });
    const result = await repository.check();
    assertFound(result, { kind: 'index-conflict', snapshots: 0 });
    // The true place is still known.
    assert.ok(!result.findings.some(({ affects }) => affects.length > 0), told(result));
  });

  fixture('missing index', async (repository) => {
    for (const name of repository.names('index')) repository.remove(name);
    const result = await repository.check();
    assertFound(result, { kind: 'tree-missing', snapshots: 2, paths: ['.'] });
    assert.ok(result.findings.some(({ kind }) => kind === 'pack-unindexed'));
  });

  fixture('truncated index', async (repository) => {
    for (const name of repository.names('index')) repository.damage(name, (bytes) => bytes.subarray(0, bytes.length - 7));
    const result = await repository.check();
    assertFound(result, { kind: 'index-damaged', file: repository.names('index')[0] as string, snapshots: 0 });
    assertFound(result, { kind: 'tree-missing', snapshots: 2, paths: ['.'] });
  });

  fixture('index that is sealed nonsense', async (repository) => {
    const name = await repository.addSealed('index', Buffer.from('{"packs":[{"id":7}]}'));
    assertFound(await repository.check(), { kind: 'index-damaged', file: `index/${name}`, snapshots: 0 });
  });

  fixture('truncated snapshot', async (repository) => {
    const name = repository.names('snapshots')[0] as string;
    repository.damage(name, (bytes) => bytes.subarray(0, 40));
    const result = await repository.check();
    assertFound(result, { kind: 'snapshot-damaged', file: name, snapshots: 1 });
    assert.equal(result.errors, 1);
  });

  fixture('snapshot that names a missing tree', async (repository) => {
    const document = await repository.snapshotDocument(repository.names('snapshots')[0] as string);
    const name = await repository.addSealed('snapshots', Buffer.from(JSON.stringify({ ...document, tree: 'cd'.repeat(32) })));
    const result = await repository.check();
    assertFound(result, { kind: 'tree-missing', file: `snapshots/${name}`, snapshots: 1, paths: ['.'] });
  });

  fixture('damaged key beside a good one', async (repository) => {
    const bad = Buffer.from('{"kdf":"scrypt","N":2}');
    writeFileSync(join(repository.folder, 'keys', 'ee'.repeat(32)), bad);
    const result = await repository.check();
    assertFound(result, { kind: 'key-damaged', file: `keys/${'ee'.repeat(32)}`, snapshots: 0 });
  });

  fixture('damaged only key', async (repository) => {
    repository.damage(repository.names('keys')[0] as string, (bytes) => bytes.subarray(0, 100));
    await assert.rejects(repository.check(), { name: 'HoldfastError', code: 'damaged' });
  });

  fixture('damaged configuration', async (repository) => {
    repository.damage('config', flip(25));
    await assert.rejects(repository.check(), { name: 'HoldfastError', code: 'damaged' });
  });

  const node = {
    type: 'file',
    mode: 420,
    mtime: '2020-01-01T00:00:00Z',
    atime: '2020-01-01T00:00:00Z',
    ctime: '2020-01-01T00:00:00Z',
    uid: 0,
    gid: 0,
    content: [],
  };
  const trees: { name: string; nodes: object[]; kind: string; paths: string[] }[] = [
    { name: 'name that leads out', nodes: [{ ...node, name: '../../etc/passwd' }], kind: 'unsafe-name', paths: ['.'] },
    { name: 'name with a NUL', nodes: [{ ...node, name: 'a\\x00b' }], kind: 'unsafe-name', paths: ['.'] },
    {
      name: 'name that occurs twice',
      nodes: [
        { ...node, name: 'a' },
        { ...node, name: 'a' },
      ],
      kind: 'tree-invalid',
      paths: ['.'],
    },
    { name: 'file without content', nodes: [{ ...node, name: 'a', content: null }], kind: 'node-invalid', paths: ['a'] },
    { name: 'directory without a tree', nodes: [{ ...node, name: 'a', type: 'dir', content: null }], kind: 'node-invalid', paths: ['a'] },
    { name: 'unknown type', nodes: [{ ...node, name: 'a', type: 'wormhole' }], kind: 'node-invalid', paths: ['a'] },
    { name: 'missing blob', nodes: [{ ...node, name: 'a', content: ['12'.repeat(32)] }], kind: 'blob-missing', paths: ['a'] },
    { name: 'missing subtree', nodes: [{ ...node, name: 'a', type: 'dir', subtree: '12'.repeat(32) }], kind: 'tree-missing', paths: ['a'] },
    { name: 'no tree at all', nodes: [17 as unknown as object], kind: 'tree-invalid', paths: ['.'] },
  ];
  for (const { name, nodes, kind, paths } of trees) {
    fixture(`tree with a ${name}`, async (repository) => {
      const content = Buffer.from(`${JSON.stringify({ nodes })}\n`);
      await addPack(repository, [{ kind: 'tree', content }]);
      const document = await repository.snapshotDocument(repository.names('snapshots')[0] as string);
      await repository.addSealed('snapshots', Buffer.from(JSON.stringify({ ...document, tree: sha256Hex(content) })));
      const result = await repository.check();
      assertFound(result, { kind, snapshots: 1, paths });
      assert.equal(result.errors, 1, told(result));
    });
  }

  fixture('file whose size is not its content', async (repository) => {
    const content = Buffer.from(`${JSON.stringify({ nodes: [{ ...node, name: 'a', size: 5 }] })}\n`);
    await addPack(repository, [{ kind: 'tree', content }]);
    const document = await repository.snapshotDocument(repository.names('snapshots')[0] as string);
    await repository.addSealed('snapshots', Buffer.from(JSON.stringify({ ...document, tree: sha256Hex(content) })));
    const result = await repository.check();
    assert.deepEqual([result.exitCode, result.findings.map(({ kind }) => kind)], [0, ['file-size']]);
  });
}

/** Stores a pack and an index that names it. */
async function addPack(repository: SmallRepository, blobs: readonly NewBlob[]): Promise<{ id: string; blobs: IndexedBlob[] }> {
  const pack = await makePack(repository, blobs);
  await repository.addIndex({ packs: [pack] });
  return pack;
}
