/** A small repository of two snapshots, made by the backup engine, and ways to damage it: raw bytes, or what was sealed. */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type CheckResult, checkRepository } from '../../src/engine/maintenance/check.ts';
import type { ReadDataSelection } from '../../src/engine/maintenance/read-data.ts';
import { sha256Hex } from '../../src/format/kernel/sha256.ts';
import type { BlobKind } from '../../src/format/pack-header.ts';
import { openJson, sealJson } from '../../src/format/sealed-json.ts';
import type { CheckFinding } from '../../src/model/events.ts';
import { createRepository, openRepository, type Repository } from '../../src/repository/repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { scratch } from '../peers.ts';
import { backUpDirectory, laneEntry } from '../scratch-backup.ts';
import { scratchOptions, scratchPassword } from '../scratch-repository.ts';

/** Content of the files; `common` is in both snapshots. */
export const files = {
  'common.txt': 'the same in both snapshots\n'.repeat(50),
  'docs/first.txt': 'first\n'.repeat(100),
  'docs/deep/er/second.txt': 'second\n'.repeat(100),
  'noise.bin': 'only here '.repeat(20_000),
};

export type IndexedBlob = { id: string; type: BlobKind; offset: number; length: number; uncompressed_length?: number };
export type IndexDocument = { packs: { id: string; blobs: IndexedBlob[] }[] };

export class SmallRepository {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  open(): Promise<Repository> {
    return openRepository(createLocalStorage(this.folder), scratchPassword);
  }

  async check(readData: ReadDataSelection | 'structure' = { select: 'all' }, lanes = 1): Promise<CheckResult> {
    return checkRepository({
      repository: await this.open(),
      address: { url: this.folder },
      laneEntry,
      lanes,
      readData: readData === 'structure' ? undefined : readData,
      report: () => undefined,
      signal: new AbortController().signal,
    });
  }

  copy(t: TestContext): SmallRepository {
    const folder = join(scratch(t), 'repository');
    cpSync(this.folder, folder, { recursive: true });
    return new SmallRepository(folder);
  }

  /** Names of the files of a kind, with their folder: `index/abc`. */
  names(kind: string): string[] {
    if (kind === 'config') return existsSync(join(this.folder, 'config')) ? ['config'] : [];
    return readdirSync(join(this.folder, kind), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.length >= 64)
      .map((name) => `${kind}/${name}`)
      .sort();
  }

  bytes(name: string): Buffer {
    return readFileSync(join(this.folder, name));
  }

  /** Replaces a file's bytes and leaves its name as it is. */
  damage(name: string, change: (bytes: Buffer) => Buffer | undefined): void {
    const path = join(this.folder, name);
    const bytes = readFileSync(path);
    const changed = change(bytes) ?? bytes;
    chmodSync(path, 0o600);
    writeFileSync(path, changed);
  }

  remove(name: string): void {
    rmSync(join(this.folder, name));
  }

  /** Replaces all index files by one that says what `change` makes of them. */
  async rewriteIndex(change: (document: IndexDocument) => void): Promise<void> {
    const document = await this.index();
    change(document);
    for (const name of this.names('index')) this.remove(name);
    await this.addIndex(document);
  }

  async addIndex(document: IndexDocument): Promise<void> {
    await this.addSealed('index', Buffer.from(JSON.stringify(document)));
  }

  async addSealed(kind: 'index' | 'snapshots', json: Buffer): Promise<string> {
    const sealed = sealJson((await this.open()).seal, json, 2);
    const name = sha256Hex(sealed);
    writeFileSync(join(this.folder, kind, name), sealed);
    return name;
  }

  async index(): Promise<IndexDocument> {
    const { seal } = await this.open();
    const packs = this.names('index').flatMap((name) => (JSON.parse(openJson(seal, this.bytes(name)).toString()) as IndexDocument).packs);
    return { packs };
  }

  async snapshotDocument(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(openJson((await this.open()).seal, this.bytes(name)).toString());
  }

  /** The pack that holds blobs of a kind, as a name with its folder. */
  async packOf(kind: BlobKind, id?: string): Promise<string> {
    const { packs } = await this.index();
    const pack = packs.find(({ blobs }) => blobs.some((blob) => blob.type === kind && (id === undefined || blob.id === id)));
    if (pack === undefined) throw new Error(`there is no pack of ${kind}`);
    return packPath(pack.id);
  }

  /** Where the content of one of {@link files} lies. They are all single blobs. */
  async placeOf(file: keyof typeof files): Promise<IndexedBlob & { pack: string }> {
    const id = sha256Hex(Buffer.from(files[file]));
    for (const pack of (await this.index()).packs) {
      const blob = pack.blobs.find((candidate) => candidate.id === id);
      if (blob !== undefined) return { ...blob, pack: packPath(pack.id) };
    }
    throw new Error(`${file} is in no pack`);
  }
}

export const packPath = (id: string): string => `data/${id.slice(0, 2)}/${id}`;
/** How findings name a pack. */
export const packFile = (path: string): string => `data/${path.slice(-64)}`;

/** The errors of a kind. */
export const errorsOf = (result: CheckResult, kind: string): CheckFinding[] =>
  result.findings.filter((finding) => finding.severity === 'error' && finding.kind === kind);

export async function makeSmallRepository(t: Pick<TestContext, 'after'>): Promise<SmallRepository> {
  const root = scratch(t);
  const source = join(root, 'volume');
  const small = new SmallRepository(join(root, 'repository'));
  const storage = createLocalStorage(small.folder);
  await createRepository(storage, scratchOptions);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(source, name, '..'), { recursive: true });
    writeFileSync(join(source, name), content);
  }
  await backUpInto(small, source, 'run-1');
  rmSync(join(source, 'noise.bin'));
  writeFileSync(join(source, 'new.txt'), 'new in the second snapshot\n'.repeat(30));
  await backUpInto(small, source, 'run-2');
  return small;
}

export async function backUpInto(small: SmallRepository, directory: string, run: string): Promise<void> {
  await backUpDirectory(await small.open(), small.folder, directory, run);
}
