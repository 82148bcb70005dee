/**
 * Which snapshots and paths damage affects: a second walk over the trees, made only when there is damage. First every tree is
 * read once, to learn below which trees there is damage at all; then each snapshot is followed down to it.
 */
import { decodeTree } from '../../format/tree.ts';
import { HoldfastError, isOfContent } from '../../model/errors.ts';
import type { CheckFinding } from '../../model/events.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString } from '../../model/raw-bytes.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { BlobReader } from '../../repository/blob-reader.ts';
import type { Findings } from './findings.ts';

/** Paths listed a finding; the others are counted. */
const maxPaths = 1000;
/** Trees visited a snapshot: shared trees can stand for more paths than anyone could list. */
const maxVisits = 100_000;

export type AffectedOptions = {
  findings: Findings;
  snapshots: readonly StoredSnapshot[];
  index: BlobIndex;
  blobs: BlobReader;
  /** Throws to stop. */
  checkStopped: () => void;
};

/** Fills in what every error affects. */
export async function findAffected(options: AffectedOptions): Promise<void> {
  const { findings, snapshots } = options;
  const labels = new Labels(findings);
  for (const { snapshot, finding } of findings.badSnapshots) labels.addSnapshot(finding, snapshot);
  const damage = new DamagedTrees(options);
  if (!damage.any) return;
  for (const { tree } of snapshots) await damage.mark(tree);
  for (const snapshot of snapshots) await labelPaths(snapshot, damage, labels, options.checkStopped);
  labels.incomplete ||= damage.incomplete;
  labels.finish();
}

/** Knows what is damaged, and which trees hold damage or lead to it. */
class DamagedTrees {
  private readonly lost: Map<number, number[]>;
  private readonly options: AffectedOptions;
  /** A tree could not be read now: what is damaged below it nobody knows. */
  incomplete = false;
  /** By entry of the index. */
  private readonly state: Uint8Array;

  constructor(options: AffectedOptions) {
    this.options = options;
    this.lost = options.findings.lostBlobs(options.index);
    this.state = new Uint8Array(options.index.size);
  }

  get any(): boolean {
    const { missingBlobs, badNodes } = this.options.findings;
    return this.lost.size > 0 || missingBlobs.size > 0 || badNodes.size > 0;
  }

  /** Findings of a blob that cannot be had. */
  blobFindings(kind: 'data' | 'tree', id: string): readonly number[] {
    const entry = this.options.index.find(id, kind);
    if (entry >= 0) return this.lost.get(entry) ?? [];
    const finding = this.options.findings.missingBlobs.get(`${kind}:${id}`);
    return finding === undefined ? [] : [finding];
  }

  /** Findings of a node, without what lies below it. */
  nodeFindings(tree: number, node: TreeNode): number[] {
    const found = (this.options.findings.badNodes.get(tree) ?? []).filter(({ name }) => name === node.name).map(({ finding }) => finding);
    for (const id of node.content ?? []) found.push(...this.blobFindings('data', id));
    if (node.subtree !== undefined) found.push(...this.blobFindings('tree', node.subtree));
    return found;
  }

  /** The entry of a tree at or below which something is damaged, and which can be read; -1 when there is nothing to be found. */
  damagedBelow(id: string): number {
    const entry = this.options.index.find(id, 'tree');
    return entry >= 0 && this.state[entry] === tainted && !this.lost.has(entry) ? entry : -1;
  }

  async nodes(entry: number): Promise<TreeNode[]> {
    this.options.checkStopped();
    try {
      return decodeTree(await this.options.blobs.read('tree', this.options.index.idOf(entry)));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (!isOfContent(error)) this.incomplete = true;
      return [];
    }
  }

  /** Learns for a tree and all below whether they hold damage. Depth first, with a stack of its own. */
  async mark(rootId: string): Promise<void> {
    const { index } = this.options;
    const root = index.find(rootId, 'tree');
    if (root < 0 || this.state[root] !== unknown) return;
    const stack = [await this.open(root)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const child = top.subtrees.pop();
      if (child === undefined) {
        stack.pop();
        const parent = stack.at(-1);
        if (this.state[top.entry] !== tainted) this.state[top.entry] = clean;
        else if (parent !== undefined) this.state[parent.entry] = tainted;
      } else if (this.state[child] === unknown) {
        stack.push(await this.open(child));
      } else if (this.state[child] === tainted) {
        this.state[top.entry] = tainted;
      }
    }
  }

  private async open(entry: number): Promise<{ entry: number; subtrees: number[] }> {
    const { index } = this.options;
    this.state[entry] = this.lost.has(entry) ? tainted : open;
    if (this.lost.has(entry)) return { entry, subtrees: [] };
    const subtrees: number[] = [];
    for (const node of await this.nodes(entry)) {
      if (this.nodeFindings(entry, node).length > 0) this.state[entry] = tainted;
      const subtree = node.subtree === undefined ? -1 : index.find(node.subtree, 'tree');
      if (subtree >= 0) subtrees.push(subtree);
    }
    return { entry, subtrees };
  }
}

const unknown = 0;
const open = 1;
const clean = 2;
const tainted = 3;

async function labelPaths(snapshot: StoredSnapshot, damage: DamagedTrees, labels: Labels, checkStopped: () => void): Promise<void> {
  for (const finding of damage.blobFindings('tree', snapshot.tree)) labels.addPath(finding, snapshot, '' as RawString);
  const root = damage.damagedBelow(snapshot.tree);
  const stack: { entry: number; path: string }[] = root < 0 ? [] : [{ entry: root, path: '' }];
  for (let visits = 0; visits < maxVisits; visits++) {
    const top = stack.pop();
    if (top === undefined) return;
    checkStopped();
    for (const node of await damage.nodes(top.entry)) {
      const path = (top.path === '' ? node.name : `${top.path}/${node.name}`) as RawString;
      for (const finding of new Set(damage.nodeFindings(top.entry, node))) labels.addPath(finding, snapshot, path);
      const below = node.subtree === undefined ? -1 : damage.damagedBelow(node.subtree);
      if (below >= 0) stack.push({ entry: below, path });
    }
  }
  labels.incomplete = true;
}

/** Writes snapshots and paths into the findings, within bounds. */
class Labels {
  /** Whether some paths were not even counted. */
  incomplete = false;
  private readonly findings: Findings;
  private readonly counts = new Map<number, number>();

  constructor(findings: Findings) {
    this.findings = findings;
  }

  addSnapshot(finding: number, snapshot: string): void {
    (this.findings.errors[finding] as CheckFinding).affects.push({ snapshot, paths: [] });
  }

  addPath(number: number, { id, tags }: StoredSnapshot, path: RawString): void {
    const { affects } = this.findings.errors[number] as CheckFinding;
    const count = (this.counts.get(number) ?? 0) + 1;
    this.counts.set(number, count);
    let affected = affects.at(-1);
    if (affected?.snapshot !== id) {
      const volume = identityFromTags(tags)?.volume;
      affected = { snapshot: id, ...(volume === undefined ? {} : { volume }), paths: [] };
      affects.push(affected);
    }
    if (count <= maxPaths) affected.paths.push(path === '' ? '.' : displayRaw(path));
  }

  finish(): void {
    for (const [number, count] of this.counts) {
      if (count <= maxPaths && !this.incomplete) continue;
      const finding = this.findings.errors[number] as CheckFinding;
      finding.message += ` (affects ${this.incomplete ? 'at least ' : ''}${count} paths; ${Math.min(count, maxPaths)} are listed)`;
    }
  }
}
