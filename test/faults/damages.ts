/** Kinds of damage to the small repository. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256Hex } from '../../src/format/kernel/sha256.ts';
import { compressBound, zstd } from '../../src/format/kernel/zstd.ts';
import { type BlobKind, HeaderBuilder } from '../../src/format/pack-header.ts';
import { storePack } from '../../src/repository/pack-writer.ts';
import { files, type IndexedBlob, packPath, type SmallRepository } from './small-repository.ts';

export type Damage = {
  name: string;
  apply: (repository: SmallRepository) => Promise<void>;
  /** A file whose content is saved though its first copy is destroyed. */
  saved?: string;
  /** Whether more is lost than what was destroyed: nobody knows any more where it lies. */
  unknowable?: boolean;
};

export type NewBlob = { kind: BlobKind; content: Buffer; id?: string; claimedLength?: number };

/** Stores a pack of blobs, which may claim to be what they aren't. @returns what an index would say of it. */
export async function makePack(repository: SmallRepository, blobs: readonly NewBlob[]): Promise<{ id: string; blobs: IndexedBlob[] }> {
  const { storage, seal } = await repository.open();
  const header = new HeaderBuilder();
  const parts: Buffer[] = [];
  const entries: IndexedBlob[] = [];
  let offset = 0;
  for (const { kind, content, id = sha256Hex(content), claimedLength = content.length } of blobs) {
    const compressed = Buffer.alloc(compressBound(content.length));
    const sealed = seal.seal(compressed.subarray(0, zstd.compress(content, compressed, 3)));
    header.add(kind, Buffer.from(id, 'hex'), sealed.length, claimedLength);
    entries.push({ id, type: kind, offset, length: sealed.length, uncompressed_length: claimedLength });
    parts.push(sealed);
    offset += sealed.length;
  }
  const stored = await storePack({ storage, seal }, { kind: 'data', entries: Buffer.from(header.bytes()), body: Buffer.concat(parts) });
  return { id: stored.id, blobs: entries };
}

const flip = (at: number) => (bytes: Buffer) => {
  const i = at < 0 ? bytes.length + at : at;
  bytes[i] = (bytes[i] as number) ^ 1;
  return bytes;
};

/** Changes what the index says of the blob of a file. */
const lie = (change: (blob: IndexedBlob) => Partial<IndexedBlob>) => async (repository: SmallRepository) => {
  const { id } = await repository.placeOf('docs/first.txt');
  await repository.rewriteIndex(({ packs }) => {
    for (const blob of packs.flatMap(({ blobs }) => blobs)) if (blob.id === id) Object.assign(blob, change(blob));
  });
};

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

/** Adds a snapshot whose tree is as given. */
const addTree = (nodes: readonly unknown[]) => async (repository: SmallRepository) => {
  const content = Buffer.from(`${JSON.stringify({ nodes })}\n`);
  await repository.addIndex({ packs: [await makePack(repository, [{ kind: 'tree', content }])] });
  await addSnapshotOf(repository, sha256Hex(content));
};

async function addSnapshotOf(repository: SmallRepository, tree: string): Promise<void> {
  const document = await repository.snapshotDocument(repository.names('snapshots')[0] as string);
  await repository.addSealed('snapshots', Buffer.from(JSON.stringify({ ...document, time: '2020-01-01T00:00:00Z', tree })));
}

/** All packs of one kind, by the index. */
async function packsOf(repository: SmallRepository, kind: BlobKind): Promise<string[]> {
  return (await repository.index()).packs.filter(({ blobs }) => blobs[0]?.type === kind).map(({ id }) => packPath(id));
}

export const damages: readonly Damage[] = [
  { name: 'none', apply: async () => undefined },
  {
    name: 'flipped bit in a data blob',
    async apply(repository) {
      const { pack, offset } = await repository.placeOf('docs/first.txt');
      repository.damage(pack, flip(offset + 20));
    },
  },
  {
    name: 'flipped bit in a file of one snapshot',
    async apply(repository) {
      const { pack, offset } = await repository.placeOf('noise.bin');
      repository.damage(pack, flip(offset + 20));
    },
  },
  {
    name: 'flipped bit in the authentication code',
    async apply(repository) {
      const { pack, offset, length } = await repository.placeOf('common.txt');
      repository.damage(pack, flip(offset + length - 1));
    },
  },
  {
    name: 'flipped bit in a directory that both snapshots have',
    async apply(repository) {
      const shared = (await repository.index()).packs.filter(({ blobs }) => blobs[0]?.type === 'tree' && blobs.length > 1)[0];
      const deepest = shared?.blobs[0] as IndexedBlob;
      repository.damage(packPath(shared?.id as string), flip(deepest.offset + 20));
    },
  },
  {
    name: 'flipped bits in all packs of trees',
    async apply(repository) {
      for (const pack of await packsOf(repository, 'tree')) repository.damage(pack, (bytes) => bytes.fill(0));
    },
  },
  {
    name: 'flipped bit in a header',
    apply: async (repository) => repository.damage(await repository.packOf('data'), flip(-10)),
  },
  {
    name: 'flipped bits in all headers',
    async apply(repository) {
      for (const pack of repository.names('data')) repository.damage(pack, flip(-10));
    },
  },
  {
    name: 'absurd header length',
    async apply(repository) {
      repository.damage(await repository.packOf('data'), (bytes) => void bytes.writeUInt32LE(0xfffffff0, bytes.length - 4) as undefined);
    },
  },
  {
    name: 'pack whose last blobs are cut off',
    async apply(repository) {
      const { pack, offset, length } = await repository.placeOf('docs/first.txt');
      repository.damage(pack, (bytes) => bytes.subarray(0, offset + length));
    },
  },
  {
    name: 'pack with bytes appended',
    async apply(repository) {
      repository.damage(await repository.packOf('data'), (bytes) => Buffer.concat([bytes, Buffer.alloc(10)]));
    },
  },
  {
    name: 'empty pack',
    async apply(repository) {
      repository.damage((await repository.placeOf('docs/first.txt')).pack, () => Buffer.alloc(0));
    },
  },
  {
    name: 'missing pack of data',
    apply: async (repository) => repository.remove((await repository.placeOf('docs/first.txt')).pack),
  },
  {
    name: 'missing packs of trees',
    async apply(repository) {
      for (const pack of await packsOf(repository, 'tree')) repository.remove(pack);
    },
  },
  {
    name: 'damaged copy of a blob that has another',
    async apply(repository) {
      const { pack, offset } = await repository.placeOf('docs/first.txt');
      await repository.addIndex({ packs: [await makePack(repository, [{ kind: 'data', content: Buffer.from(files['docs/first.txt']) }])] });
      repository.damage(pack, flip(offset + 20));
    },
    saved: 'docs/first.txt',
  },
  {
    name: 'pack that no index names',
    async apply(repository) {
      await makePack(repository, [{ kind: 'data', content: Buffer.from('nobody needs this') }]);
    },
  },
  {
    name: 'pack that no index names, whose header is damaged',
    async apply(repository) {
      const { id } = await makePack(repository, [{ kind: 'data', content: Buffer.from('nobody needs this') }]);
      repository.damage(packPath(id), flip(-10));
    },
  },
  {
    name: 'zstd bomb',
    async apply(repository) {
      const content = Buffer.alloc(8 * 1024 * 1024);
      await repository.addIndex({ packs: [await makePack(repository, [{ kind: 'data', content, claimedLength: 1000 }])] });
    },
  },
  {
    name: 'blob that does not hash to its id',
    async apply(repository) {
      const id = sha256Hex(Buffer.from(files['noise.bin']));
      const forged = await makePack(repository, [{ kind: 'data', content: Buffer.from('forged'), id }]);
      await repository.rewriteIndex(({ packs }) => {
        for (const { blobs } of packs) blobs.splice(0, blobs.length, ...blobs.filter((blob) => blob.id !== id));
        packs.push(forged);
      });
    },
  },
  { name: 'index lies: offset', apply: lie((blob) => ({ offset: blob.offset + 1 })) },
  { name: 'index lies: length', apply: lie((blob) => ({ length: blob.length - 1 })) },
  { name: 'index lies: offset beyond the pack', apply: lie(() => ({ offset: 0xf0000000 })) },
  { name: 'index lies: length of 4 GiB', apply: lie(() => ({ length: 0xffffffff })) },
  { name: 'index lies: length of nothing', apply: lie(() => ({ length: 3 })) },
  { name: 'index lies: plain length', apply: lie(() => ({ uncompressed_length: 17 })) },
  { name: 'index lies: type', apply: lie(() => ({ type: 'tree' })) },
  { name: 'index lies: id', apply: lie(() => ({ id: 'ab'.repeat(32) })) },
  {
    name: 'all trees at the place of one',
    async apply(repository) {
      const root = (await repository.snapshotDocument(repository.names('snapshots')[0] as string)).tree as string;
      await repository.rewriteIndex(({ packs }) => {
        const place = packs.flatMap(({ blobs }) => blobs).find((blob) => blob.id === root) as IndexedBlob;
        for (const blob of packs.flatMap(({ blobs }) => blobs)) if (blob.type === 'tree' && blob.id !== root) blob.offset = place.offset;
      });
    },
  },
  {
    name: 'two index files that disagree on a place',
    async apply(repository) {
      const { id } = await repository.placeOf('docs/first.txt');
      const pack = (await repository.index()).packs.find(({ blobs }) => blobs.some((blob) => blob.id === id));
      const other = structuredClone(pack as { id: string; blobs: IndexedBlob[] });
      for (const blob of other.blobs) if (blob.id === id) blob.offset += 5;
      await repository.addIndex({ packs: [other] });
    },
  },
  {
    name: 'two index files that say the same, and one that supersedes them',
    async apply(repository) {
      const superseded = repository.names('index').map((name) => name.slice('index/'.length));
      const document = await repository.index();
      await repository.addIndex({ supersedes: superseded, ...document } as typeof document);
      await repository.addIndex({ packs: document.packs.slice(0, 1) });
    },
  },
  {
    name: 'missing index',
    async apply(repository) {
      for (const name of repository.names('index')) repository.remove(name);
    },
  },
  {
    name: 'truncated index',
    async apply(repository) {
      for (const name of repository.names('index')) repository.damage(name, (bytes) => bytes.subarray(0, bytes.length - 7));
    },
  },
  {
    name: 'index that is sealed nonsense',
    async apply(repository) {
      await repository.addSealed('index', Buffer.from('{"packs":[{"id":7}]}'));
    },
  },
  {
    name: 'truncated index, and a damaged blob, and a damaged header',
    async apply(repository) {
      const { pack, offset } = await repository.placeOf('docs/first.txt');
      const trees = await packsOf(repository, 'tree');
      repository.damage(repository.names('index')[0] as string, (bytes) => bytes.subarray(0, 100));
      repository.damage(pack, flip(offset + 20));
      for (const tree of trees) repository.damage(tree, flip(offset));
    },
    unknowable: true,
  },
  {
    name: 'snapshot that names a missing tree',
    apply: (repository) => addSnapshotOf(repository, 'cd'.repeat(32)),
  },
  {
    name: 'truncated snapshot',
    async apply(repository) {
      await addTree([])(repository);
      const names = repository.names('snapshots');
      for (const name of names) {
        if ((await repository.snapshotDocument(name)).time === '2020-01-01T00:00:00Z')
          repository.damage(name, (bytes) => bytes.subarray(0, 40));
      }
    },
  },
  {
    name: 'name that leads out',
    apply: addTree([
      { ...node, name: '../../etc/passwd' },
      { ...node, name: 'good' },
    ]),
  },
  { name: 'name with a NUL', apply: addTree([{ ...node, name: 'a\\x00b' }]) },
  {
    name: 'name that occurs twice',
    apply: addTree([
      { ...node, name: 'a' },
      { ...node, name: 'a' },
    ]),
  },
  { name: 'file without content', apply: addTree([{ ...node, name: 'a', content: null }]) },
  { name: 'directory without a tree', apply: addTree([{ ...node, name: 'a', type: 'dir', content: null }]) },
  { name: 'unknown type', apply: addTree([{ ...node, name: 'a', type: 'wormhole' }]) },
  { name: 'missing blob', apply: addTree([{ ...node, name: 'a', content: ['12'.repeat(32)] }]) },
  { name: 'missing subtree', apply: addTree([{ ...node, name: 'a', type: 'dir', subtree: '12'.repeat(32) }]) },
  { name: 'no tree at all', apply: addTree([17]) },
  { name: 'file whose size is not its content', apply: addTree([{ ...node, name: 'a', size: 5 }]) },
  {
    name: 'unfinished files of a writer that was killed',
    async apply(repository) {
      const path = join(repository.folder, 'data', 'ab', `${'ab'.repeat(32)}-tmp-0123`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, 'half of a pack');
      chmodSync(path, 0o600);
    },
  },
];
