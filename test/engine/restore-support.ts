/** A repository that a test fills, by the backup engine or by hand, and restores from, with everything that was reported. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startLanes } from '../../src/engine/lanes/pool.ts';
import type { RestoreOptions } from '../../src/engine/restore/options.ts';
import { restoreVolume } from '../../src/engine/restore/restore.ts';
import { indexFileFromFragments, indexFragment } from '../../src/format/index-file.ts';
import { sha256Hex } from '../../src/format/kernel/sha256.ts';
import type { BlobKind } from '../../src/format/pack-header.ts';
import { encodeTree } from '../../src/format/tree.ts';
import type { EngineEvent, RestoreResult } from '../../src/model/events.ts';
import type { BlobId } from '../../src/model/ids.ts';
import type { TreeNode } from '../../src/model/node.ts';
import type { StoredSnapshot } from '../../src/model/snapshot.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { PackWriter, type StoredPack, storePack } from '../../src/repository/pack-writer.ts';
import { createRepository, openRepository, type Repository, writeSealedJson } from '../../src/repository/repository.ts';
import { listSnapshots, saveSnapshot } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { scratch } from '../peers.ts';
import { backUpDirectory, laneEntry } from '../scratch-backup.ts';
import { scratchOptions, scratchPassword } from '../scratch-repository.ts';

export type Restored = { result: RestoreResult; events: EngineEvent[]; problems: { file: string; problem: string; message: string }[] };

export class RestoreFixture {
  readonly root: string;
  readonly source: string;
  readonly target: string;
  readonly folder: string;

  constructor(t: Pick<TestContext, 'after'>) {
    this.root = scratch(t);
    this.source = join(this.root, 'source');
    this.target = join(this.root, 'target');
    this.folder = join(this.root, 'repository');
    mkdirSync(this.source);
  }

  async create(): Promise<Repository> {
    return createRepository(createLocalStorage(this.folder), scratchOptions);
  }

  open(): Promise<Repository> {
    return openRepository(createLocalStorage(this.folder), scratchPassword);
  }

  /** A file below the source. */
  file(path: string, content: string | Buffer): void {
    mkdirSync(join(this.source, path, '..'), { recursive: true });
    writeFileSync(join(this.source, path), content);
  }

  async backUp(): Promise<StoredSnapshot> {
    await backUpDirectory(await this.open(), this.folder, this.source, 'run');
    return this.latest();
  }

  async latest(): Promise<StoredSnapshot> {
    return (await listSnapshots(await this.open())).at(-1) as StoredSnapshot;
  }

  /** Restores the latest snapshot to the target. */
  restore(options: Partial<RestoreOptions> = {}): Promise<Restored> {
    return restoreFrom(this.folder, { target: this.target, ...options });
  }
}

/** Restores the latest snapshot of a repository with two lanes of its own. @param entry what the lanes' threads run. */
export async function restoreFrom(
  folder: string,
  options: Partial<RestoreOptions> & Pick<RestoreOptions, 'target'>,
  entry = laneEntry,
): Promise<Restored> {
  const repository = await openRepository(createLocalStorage(folder), scratchPassword);
  const index = await loadIndex(repository);
  const { config, masterKey } = repository;
  const start = { job: 'restore', address: { url: folder }, config, masterKey, index: index.memory, settings: undefined } as const;
  const lanes = startLanes({ entry, count: 2, start, onNotice: () => undefined });
  const events: EngineEvent[] = [];
  try {
    const result = await restoreVolume({
      repository,
      index,
      lanes,
      snapshot: (await listSnapshots(repository)).at(-1) as StoredSnapshot,
      volume: 'volume',
      overwrite: 'always',
      delete: false,
      verify: false,
      dryRun: false,
      signal: new AbortController().signal,
      ...options,
      report: (event) => {
        events.push(event);
        options.report?.(event);
      },
    });
    return { result, events, problems: events.filter((event) => event.event === 'file-problem') };
  } finally {
    await lanes.close();
  }
}

/** Makes a repository with one snapshot of hand-made trees. */
export async function storeByHand(fixture: RestoreFixture, build: (blobs: HandMade) => BlobId, root?: TreeNode): Promise<void> {
  const repository = await fixture.create();
  const { storage, seal } = repository;
  const fragments: string[] = [];
  const addToIndex = ({ id, entries }: Pick<StoredPack, 'id' | 'entries'>) => fragments.push(indexFragment(id, entries));
  const writer = new PackWriter({ storage, seal, formatVersion: 2, level: 3, onStored: addToIndex });
  const known = new Set<string>();
  const add = (kind: BlobKind, plain: Buffer): BlobId => {
    const id = sha256Hex(plain);
    if (!known.has(kind + id)) writer.add(kind, Buffer.from(id, 'hex'), plain);
    known.add(kind + id);
    return id as BlobId;
  };
  const tree = build({
    data: (content) => add('data', Buffer.from(content)),
    tree: (nodes) => add('tree', encodeTree(nodes)),
    rawTree: (json) => add('tree', Buffer.from(json)),
  });
  for (const partial of await writer.drain()) addToIndex(await storePack({ storage, seal }, partial));
  await writeSealedJson(repository, 'index', indexFileFromFragments(fragments));
  await saveSnapshot(repository, {
    time: '2026-01-02T03:04:05Z',
    parent: undefined,
    tree,
    paths: ['/'],
    hostname: 'host',
    username: '',
    uid: 0,
    gid: 0,
    excludes: [],
    tags: [],
    original: undefined,
    programVersion: '',
    summary: undefined,
    root,
    unknown: undefined,
  });
}

export type HandMade = {
  data: (content: string | Buffer) => BlobId;
  tree: (nodes: TreeNode[]) => BlobId;
  rawTree: (json: string) => BlobId;
};
