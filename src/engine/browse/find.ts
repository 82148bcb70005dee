/**
 * Searches snapshots for entries. A tree is read once, however many snapshots share it: of those without a match that is remembered, of the
 * others what leads to matches, as far as memory allows.
 */
import { sha256Into } from '../../format/kernel/sha256.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { TreeNode } from '../../model/node.ts';
import { bytesFromRaw, type RawString } from '../../model/raw-bytes.ts';
import type { Trees } from './trees-ahead.ts';
import { joinPath } from './walk-tree.ts';

/** What is searched for. */
export type Wanted = {
  matches(path: RawString, node: TreeNode): boolean;
  canMatchBelow(path: RawString): boolean;
  /** False when equal trees hold the same matches wherever they are. */
  pathMatters: boolean;
  /** Whether all that is below a directory that matches is a match too. */
  wholeDirectories: boolean;
  /** Asked last, of what matches. */
  accepts?(node: TreeNode): boolean;
};

export type FinderOptions = {
  trees: Trees;
  wanted: Wanted;
  onMatch: (path: RawString, node: TreeNode) => void;
  /** Told of a tree that cannot be read, which is passed over. Once, though several snapshots may have it. */
  onDamage: (path: RawString, error: HoldfastError) => void;
};

/** An entry that may matter, in a tree that was read. */
type Row = { node: TreeNode; matches: boolean; descend: boolean };

/** Rows kept of trees that hold matches, at most. */
const maxRowsKept = 20_000;
const anywhere = 1n;
const digest = Buffer.alloc(32);

export class Finder {
  private readonly o: FinderOptions;
  /** By entry of the index: the place, as {@link placeOf} says it, at which a tree held no match; 0 for one that wasn't read. */
  private readonly barren: BigUint64Array;
  /** Trees with matches, by entry and place; the one that was used last stands last. */
  private readonly fruitful = new Map<string, Row[]>();
  private rowsKept = 0;

  constructor(options: FinderOptions) {
    this.o = options;
    this.barren = new BigUint64Array(options.trees.index.size);
  }

  /** Searches a snapshot's tree. @returns whether there was a match. */
  search(root: BlobId): Promise<boolean> {
    return this.searchTree(root, '' as RawString, false);
  }

  private async searchTree(tree: BlobId, path: RawString, inside: boolean): Promise<boolean> {
    const entry = this.o.trees.index.find(tree, 'tree');
    const place = this.placeOf(path);
    if (!inside && entry >= 0 && this.barren[entry] === place) return false;
    const key = keyOf(entry, place);
    const known = inside ? undefined : this.fruitful.get(key);
    const rows = known ?? (await this.read(tree, path, inside));
    const kept: Row[] = [];
    for (const [i, row] of rows.entries()) if (await this.visit(rows, i, path, inside)) kept.push(row);
    if (inside || entry < 0) return kept.length > 0;
    if (kept.length === 0) this.barren[entry] = place;
    else this.keep(key, kept);
    return kept.length > 0;
  }

  /** @returns whether the row, or something below it, is a match. */
  private async visit(rows: readonly Row[], i: number, directory: RawString, inside: boolean): Promise<boolean> {
    const { node, matches, descend } = rows[i] as Row;
    const path = joinPath(directory, node.name);
    const accepted = matches && (this.o.wanted.accepts?.(node) ?? true);
    if (accepted) this.o.onMatch(path, node);
    if (!descend) return accepted;
    this.expect(rows, i, directory);
    const below = await this.searchTree(node.subtree as BlobId, path, inside || (matches && this.o.wanted.wholeDirectories));
    return accepted || below;
  }

  /** Has the trees read ahead that come next, but for those whose matches are known. */
  private expect(rows: readonly Row[], from: number, directory: RawString): void {
    const ahead = rows.slice(from, from + expectedRows).filter(({ descend }) => descend);
    const nodes = ahead.map(({ node }) => node);
    this.o.trees.expect(nodes, 0, ({ name, subtree }) => {
      const entry = this.o.trees.index.find(subtree as BlobId, 'tree');
      const place = this.placeOf(joinPath(directory, name));
      return entry >= 0 && this.barren[entry] !== place && !this.fruitful.has(keyOf(entry, place));
    });
  }

  /** The entries that match, or in which something may. */
  private async read(tree: BlobId, path: RawString, inside: boolean): Promise<Row[]> {
    const { wanted, trees, onDamage } = this.o;
    let nodes: TreeNode[];
    try {
      nodes = await trees.nodes(tree);
    } catch (error) {
      if (!(error instanceof HoldfastError) || !passedOver.has(error.code)) throw error;
      onDamage(path, error);
      return [];
    }
    const rows: Row[] = [];
    for (const node of nodes) {
      const at = joinPath(path, node.name);
      const matches = inside || wanted.matches(at, node);
      const whole = inside || (matches && wanted.wholeDirectories);
      const descend = node.type === 'dir' && node.subtree !== undefined && (whole || wanted.canMatchBelow(at));
      if (matches || descend) rows.push({ node, matches, descend });
    }
    return rows;
  }

  private keep(key: string, rows: Row[]): void {
    this.drop(key);
    this.fruitful.set(key, rows);
    this.rowsKept += rows.length;
    for (const [oldest] of this.fruitful) {
      if (this.rowsKept <= maxRowsKept) break;
      this.drop(oldest);
    }
  }

  private drop(key: string): void {
    this.rowsKept -= this.fruitful.get(key)?.length ?? 0;
    this.fruitful.delete(key);
  }

  /** Where a tree is, as far as it matters for what it holds: 64 bits of a hash. */
  private placeOf(path: RawString): bigint {
    if (!this.o.wanted.pathMatters) return anywhere;
    sha256Into(bytesFromRaw(path), digest);
    return digest.readBigUInt64LE(0) | anywhere;
  }
}

const keyOf = (entry: number, place: bigint): string => `${entry} ${place}`;

/** In which the next directories are looked for. */
const expectedRows = 64;
/** What is wrong with a tree doesn't keep others from being searched; a storage that fails does. */
const passedOver: ReadonlySet<string> = new Set(['damaged', 'unsafe-name', 'file-missing']);
