/**
 * Trees out of entries that come in any order, as those of an archive do: nothing is saved before the last one, because another name of a
 * file, or an entry that replaces one before, may come last. What is held is compressed (held-nodes.ts).
 */
import { encodeTree } from '../../format/tree.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { type HeldNode, HeldNodes } from './held-nodes.ts';

/** Paths are relative to the volume's root, without slashes at their ends. */
export type TreeAssembly = {
  /** An entry, named by the last part of its path; replaces one of the same path. A directory gets its subtree at the end. */
  add(path: RawString, node: TreeNode): void;
  /** Another name of a file, which may come before it. */
  link(path: RawString, target: RawString): void;
  /** Saves all trees, those of subdirectories first. Once. @returns the root's. */
  finish(root: DirectoryVisit): Promise<BlobId>;
};

/** A directory whose tree is about to be saved. */
export type DirectoryVisit = {
  /** What of it is left out, told by all the names in it. */
  keeps(names: readonly RawString[]): (name: RawString) => boolean;
  child(name: RawString): Promise<DirectoryVisit>;
  /** A subdirectory that only paths below it speak of. */
  implied(name: RawString): TreeNode;
  /** Told of every file in it, by whatever name. */
  file(node: TreeNode): void;
  /** Told of a name whose file isn't there. */
  lost(name: RawString, target: RawString): void;
  save(tree: Buffer): Promise<BlobId>;
};

type Held = { number: number; children: Map<RawString, Held> };

export function createTreeAssembly(): TreeAssembly {
  return new Assembly();
}

class Assembly implements TreeAssembly {
  private readonly nodes = new HeldNodes();
  private readonly root: Held = { number: 0, children: new Map() };
  private numbered = 1;
  /** How many further names a file has, by its own path. */
  private readonly links = new Map<RawString, number>();
  /** Further names, for those that are other names of further names. */
  private readonly firstNames = new Map<RawString, RawString>();

  add(path: RawString, node: TreeNode): void {
    const { directory, name } = this.place(path);
    this.nodes.add(directory.number, node.name === name ? node : { ...node, name });
    if (node.type === 'dir') this.child(directory, name);
  }

  link(path: RawString, target: RawString): void {
    const { directory, name } = this.place(path);
    const first = this.firstNames.get(target) ?? target;
    if (first === path) return;
    this.firstNames.set(path, first);
    this.links.set(first, (this.links.get(first) ?? 0) + 1);
    this.nodes.add(directory.number, { name, linkTo: first });
  }

  async finish(root: DirectoryVisit): Promise<BlobId> {
    return this.save(this.root, '' as RawString, root);
  }

  private place(path: RawString): { directory: Held; name: RawString } {
    const parts = path.split('/') as RawString[];
    const name = parts.pop() as RawString;
    return { directory: parts.reduce((held, part) => this.child(held, part), this.root), name };
  }

  private child(held: Held, name: RawString): Held {
    const known = held.children.get(name);
    if (known !== undefined) return known;
    const child = { number: this.numbered++, children: new Map() };
    held.children.set(name, child);
    return child;
  }

  private async save(held: Held, path: RawString, visit: DirectoryVisit): Promise<BlobId> {
    const kept = this.keptOf(held, visit);
    // Subdirectories first: what they hold need not be in memory beside this directory's.
    const subtrees = new Map<RawString, BlobId>();
    for (const [name, child] of held.children) {
      if (kept.get(name) === 'dir') subtrees.set(name, await this.save(child, join(path, name), await visit.child(name)));
    }
    const entries = this.entriesOf(held);
    const nodes: TreeNode[] = [];
    for (const name of [...kept.keys()].sort()) {
      const node = this.complete(path, entries.get(name) ?? visit.implied(name), visit);
      if (node?.type === 'file') visit.file(node);
      if (node !== undefined) nodes.push(node.type === 'dir' ? { ...node, subtree: subtrees.get(name) } : node);
    }
    return visit.save(encodeTree(nodes));
  }

  /** Names that go into the tree, and their types; a link's is ''. */
  private keptOf(held: Held, visit: DirectoryVisit): Map<RawString, TreeNode['type']> {
    const types = new Map<RawString, TreeNode['type']>([...held.children.keys()].map((name) => [name, 'dir']));
    for (const [name, node] of this.entriesOf(held)) types.set(name, 'linkTo' in node ? '' : node.type);
    const keeps = visit.keeps([...types.keys()]);
    for (const name of types.keys()) if (!keeps(name)) types.delete(name);
    return types;
  }

  /** The last of a name holds. */
  private entriesOf({ number }: Held): Map<RawString, HeldNode> {
    return new Map(this.nodes.of(number).map((node) => [node.name, node]));
  }

  private complete(path: RawString, node: HeldNode, visit: DirectoryVisit): TreeNode | undefined {
    if (!('linkTo' in node)) return this.withLinks(join(path, node.name), node);
    const first = this.find(node.linkTo);
    if (first !== undefined && first.type !== 'dir') return { ...this.withLinks(node.linkTo, first), name: node.name };
    visit.lost(node.name, node.linkTo);
    return undefined;
  }

  private withLinks(path: RawString, node: TreeNode): TreeNode {
    const more = this.links.get(path);
    return more === undefined || node.type === 'dir' ? node : { ...node, links: 1 + more };
  }

  private find(path: RawString): TreeNode | undefined {
    const parts = path.split('/') as RawString[];
    const name = parts.pop() as RawString;
    let held: Held | undefined = this.root;
    for (const part of parts) held = held?.children.get(part);
    const found = held && this.nodes.of(held.number).findLast((node) => node.name === name);
    return found === undefined || 'linkTo' in found ? undefined : found;
  }
}

const join = (path: RawString, name: RawString): RawString => (path === '' ? name : `${path}/${name}`) as RawString;
