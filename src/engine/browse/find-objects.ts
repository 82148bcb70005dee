/** Which files and directories use certain blobs, trees or packs. */
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { BlobIndex, BlobLocation } from '../../repository/blob-index.ts';
import { IndexBits } from './index-bits.ts';

export type ObjectKind = 'blob' | 'tree' | 'pack';
export type FoundObject = { kind: 'data' | 'tree'; id: BlobId; places: BlobLocation[] };

export type ObjectMatcher = {
  /** How many blobs are searched for. */
  readonly count: number;
  /** Those that a node refers to itself, each once. */
  objectsOf(node: Pick<TreeNode, 'content' | 'subtree'>): FoundObject[];
  refersTo(node: Pick<TreeNode, 'content' | 'subtree'>): boolean;
  /** Those that were not asked for by `objectsOf` so far: nothing that was walked uses them. */
  unused(): Generator<FoundObject>;
};

const prefixPattern = /^[0-9a-f]{4,64}$/;

/**
 * @param prefixes beginnings of ids, of at least 4 characters.
 * @throws `usage` for what is no id, and for one that the index knows nothing of.
 */
export function findObjects(index: BlobIndex, kind: ObjectKind, prefixes: readonly string[]): ObjectMatcher {
  const wanted = new IndexBits(index.size);
  const used = new IndexBits(index.size);
  let count = 0;
  /** Of a blob that is stored several times, the entry that `find` returns stands for all. */
  const want = (id: BlobId, of: 'data' | 'tree') => {
    if (wanted.add(index.find(id, of))) count++;
  };
  for (const prefix of prefixes) {
    if (!prefixPattern.test(prefix)) throw new HoldfastError('usage', `${JSON.stringify(prefix)} is not the id of a ${kind}`);
  }
  const missing = kind === 'pack' ? wantPacks(index, prefixes, want) : wantBlobs(index, kind === 'tree' ? 'tree' : 'data', prefixes, want);
  if (missing !== undefined) {
    throw new HoldfastError('usage', `no ${kind} of the repository has an id that begins with ${missing}`, { remedy: 'check the id' });
  }

  const referred = (node: Pick<TreeNode, 'content' | 'subtree'>): { entry: number; id: BlobId; of: 'data' | 'tree' }[] => {
    const ids = [
      ...(node.content ?? []).map((id) => ({ id, of: 'data' as const })),
      ...(node.subtree === undefined ? [] : [{ id: node.subtree, of: 'tree' as const }]),
    ];
    return ids.map(({ id, of }) => ({ entry: index.find(id, of), id, of })).filter(({ entry }) => entry >= 0 && wanted.has(entry));
  };
  const object = (id: BlobId, of: 'data' | 'tree'): FoundObject => ({ kind: of, id, places: index.locations(id, of) });

  return {
    count,
    objectsOf(node) {
      const found = referred(node);
      for (const { entry } of found) used.add(entry);
      return found.filter(({ entry }, i) => found.findIndex((other) => other.entry === entry) === i).map(({ id, of }) => object(id, of));
    },
    refersTo: (node) => referred(node).length > 0,
    *unused() {
      for (const entry of wanted.entries()) if (!used.has(entry)) yield object(index.idOf(entry), index.kindOf(entry));
    },
  };
}

type Want = (id: BlobId, kind: 'data' | 'tree') => void;

/** @returns a prefix that nothing begins with. */
function wantBlobs(index: BlobIndex, kind: 'data' | 'tree', prefixes: readonly string[], want: Want): string | undefined {
  const missing = new Set(prefixes);
  for (let entry = 0; entry < index.size; entry++) {
    if (index.kindOf(entry) !== kind) continue;
    const id = index.idOf(entry);
    const prefix = prefixes.find((candidate) => id.startsWith(candidate));
    if (prefix === undefined) continue;
    missing.delete(prefix);
    want(id, kind);
  }
  return missing.values().next().value;
}

/** All that the index says is in the packs. @returns a prefix that no pack begins with. */
function wantPacks(index: BlobIndex, prefixes: readonly string[], want: Want): string | undefined {
  const missing = new Set(prefixes);
  const packs = new Set<number>();
  for (let pack = 0; pack < index.packCount; pack++) {
    const prefix = prefixes.find((candidate) => index.packId(pack).startsWith(candidate));
    if (prefix === undefined) continue;
    missing.delete(prefix);
    packs.add(pack);
  }
  for (let entry = 0; entry < index.size; entry++) if (packs.has(index.packNumberOf(entry))) want(index.idOf(entry), index.kindOf(entry));
  return missing.values().next().value;
}
