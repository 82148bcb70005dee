/** Nodes of directories that are not complete yet, kept small: a million files take about 100 MB. */
import { deserialize, serialize } from 'node:v8';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { TreeNode } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';

/** Another name of a file, by the path of the first one. */
export type HeldLink = { name: RawString; linkTo: RawString };
export type HeldNode = TreeNode | HeldLink;

type Batch = { directory: number; node: HeldNode }[];

/** Nodes in a batch: enough for compression to find what repeats, few enough to be opened for one directory. */
const batchNodes = 1024;
/** Opened batches at hand. */
const openBatches = 16;

export class HeldNodes {
  private readonly batches: Buffer[] = [];
  private readonly open = new Map<number, Map<number, HeldNode[]>>();
  /** Numbers of the batches in which a directory has nodes, ascending. */
  private readonly places = new Map<number, number[]>();
  private current: Batch = [];

  add(directory: number, node: HeldNode): void {
    const batch = this.batches.length;
    const places = this.places.get(directory);
    if (places === undefined) this.places.set(directory, [batch]);
    else if (places.at(-1) !== batch) places.push(batch);
    this.current.push({ directory, node });
    if (this.current.length >= batchNodes) this.close();
  }

  /** A directory's nodes, in the order in which they were added. */
  of(directory: number): HeldNode[] {
    if (this.current.length > 0) this.close();
    return (this.places.get(directory) ?? []).flatMap((batch) => this.opened(batch).get(directory) ?? []);
  }

  private close(): void {
    this.batches.push(zstdCompressSync(serialize(this.current)));
    this.current = [];
  }

  private opened(number: number): Map<number, HeldNode[]> {
    const known = this.open.get(number);
    this.open.delete(number);
    const nodes = known ?? this.read(number);
    this.open.set(number, nodes);
    const [oldest] = this.open.keys();
    if (this.open.size > openBatches) this.open.delete(oldest as number);
    return nodes;
  }

  private read(number: number): Map<number, HeldNode[]> {
    const byDirectory = new Map<number, HeldNode[]>();
    for (const { directory, node } of deserialize(zstdDecompressSync(this.batches[number] as Buffer)) as Batch) {
      const nodes = byDirectory.get(directory);
      if (nodes === undefined) byDirectory.set(directory, [withBuffers(node)]);
      else nodes.push(withBuffers(node));
    }
    return byDirectory;
  }
}

/** What was a buffer comes back as plain bytes. */
function withBuffers(node: HeldNode): HeldNode {
  if ('linkTo' in node || node.extendedAttributes.length === 0) return node;
  const extendedAttributes = node.extendedAttributes.map(({ name, value }) => ({ name, value: value && Buffer.from(value) }));
  return { ...node, extendedAttributes };
}
