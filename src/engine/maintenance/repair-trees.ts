/** Trees without what is lost: the same trees as restic's `repair snapshots` makes (restic, cmd/restic/cmd_repair_snapshots.go). */
import { sha256Hex } from '../../format/kernel/sha256.ts';
import { encodeTree } from '../../format/tree.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import { createBlobReader, openBlob } from '../../repository/blob-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { decodeTolerantly } from './tolerant-tree.ts';

export type TreeChange =
  /** Some of its blobs are gone: the others stand together, without a gap. */
  | 'content-lost'
  /** It had another size than its content. */
  | 'size-corrected'
  /** Its tree is gone: what was in it is not known. */
  | 'directory-lost'
  /** It is of a kind that nobody can restore. */
  | 'entry-removed'
  /** Entries of this directory that made no sense, or whose names would lead elsewhere. */
  | 'entries-removed';

/** `path` is for display. */
export type PathChange = { path: string; change: TreeChange };

/** What became of a tree. */
export type TreeVerdict = { verdict: 'unchanged' } | { verdict: 'changed'; id: BlobId } | { verdict: 'lost' };

const restorable = new Set(['file', 'dir', 'symlink', 'dev', 'chardev', 'fifo', 'socket']);
const emptyTree = encodeTree([]);
const emptyTreeId = sha256Hex(emptyTree) as BlobId;

/** States of trees, by their entries in the index. */
const unknown = 0;
const underWay = 1;
const unchanged = 2;
const changed = 3;
const lost = 4;

/** Trees followed down a snapshot for its list of changes: shared trees can stand for more paths than anyone could list. */
const maxVisits = 100_000;

type Derived = { nodes: TreeNode[]; changes: { name: string; change: TreeChange }[]; differs: boolean };

export class TreeRepair {
  private readonly repository: Repository;
  private readonly index: BlobIndex;
  private readonly checkStopped: () => void;
  private readonly read: (id: BlobId) => Promise<Buffer>;
  private readonly states: Uint8Array;
  /** New ids of changed trees, those below first. */
  private readonly ids = new Map<number, BlobId>();
  private directoriesLost = false;

  constructor(repository: Repository, index: BlobIndex, checkStopped: () => void) {
    this.repository = repository;
    this.index = index;
    this.checkStopped = checkStopped;
    const { storage, seal } = repository;
    const blobs = createBlobReader({ storage, seal, index, reuse: true });
    this.read = (id) => blobs.read('tree', id);
    this.states = new Uint8Array(index.size);
  }

  /**
   * Looks at a tree and at all below it, each once.
   * @throws `storage` when a tree cannot be read now: only what is certainly damaged counts as lost.
   */
  async examine(id: BlobId): Promise<TreeVerdict> {
    const entry = this.index.find(id, 'tree');
    if (entry < 0) return { verdict: 'lost' };
    if (this.states[entry] === unknown) await this.settle(entry);
    switch (this.states[entry]) {
      case changed:
        return { verdict: 'changed', id: this.ids.get(entry) as BlobId };
      case unchanged:
        return { verdict: 'unchanged' };
      default:
        // Lost; or under way, so that the tree contains itself, which no tree can.
        return { verdict: 'lost' };
    }
  }

  private async settle(entry: number): Promise<void> {
    this.checkStopped();
    this.states[entry] = underWay;
    const nodes = await this.nodesOf(entry);
    // Before the next tree is read, which uses the memory again.
    for (const { subtree } of nodes?.nodes ?? []) if (subtree !== undefined) await this.examine(subtree);
    if (nodes === undefined) {
      this.states[entry] = lost;
      return;
    }
    const derived = await this.derive(nodes);
    this.states[entry] = derived.differs ? changed : unchanged;
    if (derived.differs) this.ids.set(entry, sha256Hex(encodeTree(derived.nodes)) as BlobId);
  }

  /** A tree as it is now; undefined when no copy of it can be used. */
  private async nodesOf(entry: number): Promise<{ nodes: TreeNode[]; leftOut: number } | undefined> {
    const id = this.index.idOf(entry);
    let plain: Buffer;
    try {
      plain = await this.read(id);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      await this.refuseUnreadable(id);
      return undefined;
    }
    const decoded = decodeTolerantly(plain);
    return decoded !== undefined && decoded.nodes.length === 0 && decoded.leftOut > 0 ? undefined : decoded;
  }

  /** @throws `storage` and the like when one of the copies could not be read at all. */
  private async refuseUnreadable(id: BlobId): Promise<void> {
    const { storage, seal } = this.repository;
    for (const { pack, offset, length, plainLength } of this.index.locations(id, 'tree')) {
      try {
        openBlob(seal, await storage.read({ kind: 'data', name: pack }, { offset, length }), plainLength, id);
        throw new HoldfastError('storage', `tree ${id} could not be read, and then it could`, { file: `data/${pack}` });
      } catch (error) {
        if (!(error instanceof HoldfastError) || (error.code !== 'damaged' && error.code !== 'file-missing')) throw error;
      }
    }
  }

  /** What a tree becomes. All trees below have been examined. */
  private async derive({ nodes, leftOut }: { nodes: TreeNode[]; leftOut: number }): Promise<Derived> {
    const derived: Derived = { nodes: [], changes: [], differs: leftOut > 0 };
    if (leftOut > 0) derived.changes.push({ name: '', change: 'entries-removed' });
    const note = (name: string, change: TreeChange) => {
      derived.differs = true;
      derived.changes.push({ name, change });
    };
    for (const node of nodes) {
      if (!restorable.has(node.type)) note(node.name, 'entry-removed');
      else if (node.type === 'file') derived.nodes.push(this.deriveFile(node, note));
      else if (node.type !== 'dir') derived.nodes.push(node);
      else {
        const below: TreeVerdict = node.subtree === undefined ? { verdict: 'lost' } : await this.examine(node.subtree);
        if (below.verdict === 'lost') {
          this.directoriesLost = true;
          note(node.name, 'directory-lost');
        }
        if (below.verdict !== 'unchanged') derived.differs = true;
        const subtree = below.verdict === 'changed' ? below.id : below.verdict === 'lost' ? emptyTreeId : node.subtree;
        derived.nodes.push({ ...node, subtree });
      }
    }
    // Old versions of restic did not sort; what is written anew must be.
    derived.nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
    return derived;
  }

  private deriveFile(node: TreeNode, note: (name: string, change: TreeChange) => void): TreeNode {
    const content: BlobId[] = [];
    let size = 0;
    for (const id of node.content ?? []) {
      const entry = this.index.find(id, 'data');
      if (entry < 0) continue;
      content.push(id);
      size += this.index.plainLengthOf(entry);
    }
    if (node.content === undefined || content.length < node.content.length) note(node.name, 'content-lost');
    else if (BigInt(size) !== BigInt(node.size)) note(node.name, 'size-corrected');
    else return node;
    return { ...node, content, size };
  }

  /**
   * What changed below an examined tree, path by path.
   * @param most paths that are listed; the others are counted as far as that is possible.
   */
  async changesBelow(id: BlobId, most: number): Promise<{ changes: PathChange[]; count: number }> {
    const found: { changes: PathChange[]; count: number } = { changes: [], count: 0 };
    const stack: { id: BlobId; path: string }[] = [{ id, path: '' }];
    for (let visits = 0; visits < maxVisits; visits++) {
      const top = stack.pop();
      if (top === undefined) break;
      const entry = this.index.find(top.id, 'tree');
      const nodes = entry >= 0 && this.states[entry] === changed ? await this.nodesOf(entry) : undefined;
      if (nodes === undefined) continue;
      const pathOf = (name: string) => (top.path === '' || name === '' ? top.path + name : `${top.path}/${name}`);
      for (const { name, change } of (await this.derive(nodes)).changes) {
        found.count++;
        if (found.changes.length < most) found.changes.push({ path: displayRaw((pathOf(name) || '.') as TreeNode['name']), change });
      }
      for (const { subtree, name } of nodes.nodes.toReversed()) if (subtree !== undefined) stack.push({ id: subtree, path: pathOf(name) });
    }
    return found;
  }

  /** The bytes of all changed trees, those below first, and of the empty one where it stands for another: what a repair has to store. */
  async *newTrees(): AsyncGenerator<{ id: BlobId; json: Buffer }> {
    if (this.directoriesLost) yield { id: emptyTreeId, json: emptyTree };
    for (const [entry, id] of this.ids) {
      this.checkStopped();
      const nodes = await this.nodesOf(entry);
      const json = nodes === undefined ? undefined : encodeTree((await this.derive(nodes)).nodes);
      if (json === undefined || sha256Hex(json) !== id) {
        throw new HoldfastError('damaged', `tree ${this.index.idOf(entry)} is not what it was a moment ago`, {
          remedy: 'run the repair again',
        });
      }
      yield { id, json };
    }
  }
}
