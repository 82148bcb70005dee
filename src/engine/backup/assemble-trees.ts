/**
 * Trees out of entries that come in any order, as those of an archive do: nothing is saved before the last one, because another name of a
 * file, or an entry that replaces one before, may come last. Then all are gone through once, sorted, and each directory is saved when what
 * is below it is. Time grows as n log n with the entries, memory only with the largest directory's tree.
 */
import { setImmediate } from 'node:timers/promises';
import { createTreeEncoder, type TreeEncoder } from '../../format/tree-encoder.ts';
import { jsonFromNode } from '../../format/tree-node.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import {
  distinct,
  holdLink,
  holdNode,
  isDirectory,
  isLink,
  jsonOf,
  keyOf,
  nameOfKey,
  nodeOf,
  type Occurrence,
  pathOf,
  targetKeyOf,
} from './held-entries.ts';
import { HeldLinks } from './held-links.ts';
import { type Pair, SortedSpool } from './sorted-spool.ts';
import { Spool, type SpoolOptions } from './spool.ts';

/** Paths are relative to the volume's root, without slashes at their ends. */
export type TreeAssembly = {
  /** An entry; the last of a path holds, but a directory before anything else. A directory gets its subtree at the end. */
  add(path: RawString, node: TreeNode): void;
  /** Another name of a file, which may come before it. */
  link(path: RawString, target: RawString): void;
  /**
   * Saves all trees, those of subdirectories first. Once.
   * @returns the root's.
   * @throws `archive-too-large` when a directory's tree would be longer than 1 GiB; `temporary-space`; what the visit throws.
   */
  finish(root: DirectoryVisit): Promise<BlobId>;
  /** Lets go what was held; in any case. */
  close(): void;
};

/** A directory whose entries are gone through, and then saved. */
export type DirectoryVisit = {
  /** Whether an entry goes into the tree. */
  keeps(name: RawString): boolean;
  child(name: RawString): Promise<DirectoryVisit>;
  /** A subdirectory that only paths below it speak of. */
  implied(name: RawString): TreeNode;
  /** Told of every entry that goes into the tree; of a directory when its own tree is saved. */
  entry(node: TreeNode): void;
  save(tree: Buffer): Promise<BlobId>;
};

/** What an archive says that no tree can say. */
export type Oddities = {
  /** A name whose file isn't there. */
  lost(path: RawString, target: RawString): void;
  /** Lies below something that is no directory, and is left out. */
  misplaced(path: RawString): void;
  /** Is there as a directory, which holds, and as something else. */
  contrary(path: RawString): void;
  /** Is there more than once, and the last holds. */
  repeated(path: RawString): void;
};

const maxTreeBytes = 1024 * 1024 * 1024;
/** Entries after which others get their turn. */
const atOnce = 1024;

export function createTreeAssembly(oddities: Oddities, spool?: SpoolOptions): TreeAssembly {
  return new Assembly(oddities, new Spool(spool));
}

type OpenDirectory = {
  /** How much of `at` is what the keys of all that is below it begin with. */
  prefixLength: number;
  node: TreeNode | undefined;
  visit: DirectoryVisit;
  tree: TreeEncoder;
};

class Assembly implements TreeAssembly {
  private readonly oddities: Oddities;
  private readonly spool: Spool;
  private readonly entries: SortedSpool;
  private readonly links: HeldLinks;
  /** From the root to the one that is gone through. */
  private readonly open: OpenDirectory[] = [];
  /** What keys below the last open directory begin with: one string, as paths may be long and directories many. */
  private at = '';
  /** What lies below this is left out; reported when it is a file's. */
  private leftOut: { prefix: string; reported: boolean } | undefined;

  constructor(oddities: Oddities, spool: Spool) {
    this.oddities = oddities;
    this.spool = spool;
    this.entries = new SortedSpool(spool);
    this.links = new HeldLinks(spool);
  }

  add(path: RawString, node: TreeNode): void {
    this.entries.add(keyOf(path), holdNode(node));
  }

  link(path: RawString, target: RawString): void {
    this.entries.add(keyOf(path), holdLink(target));
    this.links.add({ path: keyOf(path), target: keyOf(target) });
  }

  async finish(root: DirectoryVisit): Promise<BlobId> {
    const named = new Lookup((await this.links.resolve(distinct(this.entries.sorted()))).sorted());
    this.open.push({ prefixLength: 0, node: undefined, visit: root, tree: createTreeEncoder() });
    let seen = 0;
    for (const entry of distinct(this.entries.sorted())) {
      await this.take(entry, named);
      if (++seen % atOnce === 0) await setImmediate();
    }
    while (this.open.length > 1) await this.closeLast();
    const { visit, tree } = this.top;
    return visit.save(tree.finish());
  }

  close(): void {
    this.spool.close();
  }

  private get top(): OpenDirectory {
    return this.open.at(-1) as OpenDirectory;
  }

  private async take(entry: Occurrence, named: Lookup): Promise<void> {
    const { key, value } = entry;
    if (this.isLeftOut(key)) return;
    while (!key.startsWith(this.at)) await this.closeLast();
    if (!(await this.enterImplied(key))) return;
    if (entry.differs) this.oddities.contrary(pathOf(key));
    else if (entry.times > 1 && !isDirectory(value)) this.oddities.repeated(pathOf(key));
    const name = nameOfKey(key);
    if (!this.top.visit.keeps(name)) this.leaveOut(key, false);
    else if (isDirectory(value)) await this.enter(key, nodeOf(jsonOf(value)));
    else this.takeFile(key, value, named.at(key));
  }

  /** A file, or whatever else is no directory. */
  private takeFile(key: string, value: string, named: string | undefined): void {
    this.leaveOut(key, true);
    const json = named ?? (isLink(value) ? undefined : jsonOf(value));
    if (json === undefined) return this.oddities.lost(pathOf(key), pathOf(targetKeyOf(value)));
    this.write(nodeOf(json), json);
  }

  private write(node: TreeNode, json: string): void {
    const { tree, visit } = this.top;
    visit.entry(node);
    tree.add(node.name, json);
    if (tree.sizeBytes <= maxTreeBytes) return;
    const directory = displayRaw(pathOf(this.at.slice(0, -1)));
    throw new HoldfastError('archive-too-large', `the directory ${JSON.stringify(directory)} has more entries than a tree holds`, {
      file: directory,
      remedy: 'spread its files over several directories',
    });
  }

  private leaveOut(key: string, reported: boolean): void {
    this.leftOut = { prefix: `${key}\0`, reported };
  }

  private isLeftOut(key: string): boolean {
    if (this.leftOut === undefined) return false;
    if (!key.startsWith(this.leftOut.prefix)) this.leftOut = undefined;
    else if (this.leftOut.reported) this.oddities.misplaced(pathOf(key));
    return this.leftOut !== undefined;
  }

  /** @returns false when one of the directories on the way is left out. */
  private async enterImplied(key: string): Promise<boolean> {
    for (let end = key.indexOf('\0', this.top.prefixLength); end >= 0; end = key.indexOf('\0', end + 1)) {
      const directory = key.slice(0, end);
      const name = nameOfKey(directory);
      if (!this.top.visit.keeps(name)) {
        this.leaveOut(directory, false);
        return false;
      }
      await this.enter(directory, this.top.visit.implied(name));
    }
    return true;
  }

  private async enter(key: string, node: TreeNode): Promise<void> {
    const visit = await this.top.visit.child(node.name);
    this.at = `${key}\0`;
    this.open.push({ prefixLength: this.at.length, node, visit, tree: createTreeEncoder() });
  }

  private async closeLast(): Promise<void> {
    const { node, visit, tree } = this.open.pop() as OpenDirectory;
    const saved = { ...(node as TreeNode), subtree: await visit.save(tree.finish()) };
    this.at = this.at.slice(0, this.top.prefixLength);
    this.write(saved, jsonFromNode(saved));
  }
}

/** Values of ascending keys. */
class Lookup {
  private readonly pairs: Iterator<Pair>;
  private next: Pair | undefined;

  constructor(pairs: Iterator<Pair>) {
    this.pairs = pairs;
    this.advance();
  }

  at(key: string): string | undefined {
    while (this.next !== undefined && this.next[0] < key) this.advance();
    return this.next?.[0] === key ? this.next[1] : undefined;
  }

  private advance(): void {
    const { done, value } = this.pairs.next();
    this.next = done ? undefined : value;
  }
}
