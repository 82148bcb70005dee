/**
 * Pairs of strings that come in any order, and are given in the order of their keys: an external merge sort, in time n log n and in memory that
 * doesn't grow with their number. Runs are sorted in memory, put aside in blocks, and merged while they are read; many runs of a level become
 * one of the next, so that never more than a few hundred blocks are open.
 */
import { deserialize, serialize } from 'node:v8';
import type { Spool, SpoolBlock } from './spool.ts';

/** Keys and values are strings of bytes: no character beyond U+00FF. */
export type Pair = readonly [key: string, value: string];
type Run = SpoolBlock[];

/** Characters of keys and values that are sorted in memory. */
const runCharacters = 4 * 1024 * 1024;
/** Characters of a block; a longer pair is a block of its own. */
const blockCharacters = 64 * 1024;
/** What a pair costs beside its characters. */
const pairCharacters = 192;
/** So many runs become one. */
const fanIn = 64;

export type SortedSpoolOptions = { runCharacters?: number };

export class SortedSpool {
  private readonly spool: Spool;
  private readonly runCharacters: number;
  private pairs: Pair[] = [];
  private characters = 0;
  /** By level: those of higher levels are older. */
  private readonly levels: Run[][] = [];

  constructor(spool: Spool, options: SortedSpoolOptions = {}) {
    this.spool = spool;
    this.runCharacters = options.runCharacters ?? runCharacters;
  }

  /** @throws `temporary-space`. */
  add(key: string, value: string): void {
    this.pairs.push([key, value]);
    this.characters += key.length + value.length + pairCharacters;
    if (this.characters >= this.runCharacters) this.closeRun();
  }

  /**
   * All pairs, ascending by key; those of one key in the order in which they came. As often as it is wanted, after the last `add`.
   * @throws `temporary-space`.
   */
  *sorted(): Generator<Pair> {
    if (this.pairs.length > 0) this.closeRun();
    yield* this.merged(this.levels.toReversed().flat());
  }

  private closeRun(): void {
    // Stable: what has the same key keeps its order.
    this.pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const run = this.put(this.pairs);
    this.pairs = [];
    this.characters = 0;
    this.addRun(run, 0);
  }

  private addRun(run: Run, level: number): void {
    this.levels[level] ??= [];
    const runs = this.levels[level];
    runs.push(run);
    if (runs.length < fanIn) return;
    this.levels[level] = [];
    this.addRun(this.put(this.merged(runs)), level + 1);
  }

  private put(pairs: Iterable<Pair>): Run {
    const run: Run = [];
    let flat: string[] = [];
    let characters = 0;
    for (const [key, value] of pairs) {
      flat.push(key, value);
      characters += key.length + value.length;
      if (characters < blockCharacters) continue;
      run.push(this.spool.put(serialize(flat)));
      flat = [];
      characters = 0;
    }
    if (flat.length > 0) run.push(this.spool.put(serialize(flat)));
    return run;
  }

  private *merged(runs: readonly Run[]): Generator<Pair> {
    const heap = new Heap();
    for (const [age, run] of runs.entries()) heap.push({ pairs: this.pairsOf(run), age, head: ['', ''] });
    for (let head = heap.next(); head !== undefined; head = heap.next()) yield head;
  }

  private *pairsOf(run: Run): Generator<Pair> {
    for (const block of run) {
      const flat = deserialize(this.spool.get(block)) as string[];
      for (let at = 0; at < flat.length; at += 2) yield [flat[at] as string, flat[at + 1] as string];
    }
  }
}

type Cursor = { pairs: Generator<Pair>; age: number; head: Pair };

/** Which run has the next pair: a binary heap. */
class Heap {
  private readonly cursors: Cursor[] = [];

  push(cursor: Cursor): void {
    const { done, value } = cursor.pairs.next();
    if (done) return;
    cursor.head = value;
    this.cursors.push(cursor);
    let at = this.cursors.length - 1;
    for (let above = (at - 1) >> 1; at > 0 && this.before(at, above); above = (at - 1) >> 1) {
      this.swap(at, above);
      at = above;
    }
  }

  next(): Pair | undefined {
    const [first] = this.cursors;
    if (first === undefined) return undefined;
    const { head } = first;
    const { done, value } = first.pairs.next();
    if (done) this.removeFirst();
    else first.head = value;
    this.sink();
    return head;
  }

  private removeFirst(): void {
    const last = this.cursors.pop() as Cursor;
    if (this.cursors.length > 0) this.cursors[0] = last;
  }

  private sink(): void {
    const { length } = this.cursors;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < length && this.before(child, least)) least = child;
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private before(a: number, b: number): boolean {
    const [first, second] = [this.cursors[a] as Cursor, this.cursors[b] as Cursor];
    const [key] = first.head;
    const [other] = second.head;
    return key < other || (key === other && first.age < second.age);
  }

  private swap(a: number, b: number): void {
    [this.cursors[a], this.cursors[b]] = [this.cursors[b] as Cursor, this.cursors[a] as Cursor];
  }
}
