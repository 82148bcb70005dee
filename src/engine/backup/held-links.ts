/**
 * Further names of files find their nodes: by sorting and merging, as there may be more of them than memory holds, and their files may stand
 * anywhere, before them or behind.
 */
import { setImmediate } from 'node:timers/promises';
import { jsonFromNode } from '../../format/tree-node.ts';
import { HoldfastError } from '../../model/errors.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import { distinct, isDirectory, isLink, jsonOf, nameOfKey, nodeOf, type Occurrence, pathOf } from './held-entries.ts';
import { SortedSpool } from './sorted-spool.ts';
import type { Spool } from './spool.ts';

/** Names of names are followed in steps that double: more than an archive can hold. What is left then goes in circles. */
const maxRounds = 32;
/** Of the nodes of one file's names together: each of them repeats the list of its blobs. */
const maxBytesOfNames = 1024 * 1024 * 1024;
/** Links or entries after which others get their turn. */
const atOnce = 4096;

/** Between a target and its link: sorts before all that a path can go on with. */
const separator = '\0\0';

type Link = { target: string; path: string };

/** Targets and paths are keys, see held-entries.ts. */
export class HeldLinks {
  private readonly spool: Spool;
  private byTarget: SortedSpool;
  private byPath: SortedSpool;
  private count = 0;

  constructor(spool: Spool) {
    this.spool = spool;
    this.byTarget = new SortedSpool(spool);
    this.byPath = new SortedSpool(spool);
  }

  /** @throws `temporary-space`. */
  add({ target, path }: Link): void {
    this.count++;
    this.byTarget.add(`${target}${separator}${path}`, '');
    this.byPath.add(path, target);
  }

  /**
   * The nodes of all files that have further names, by each of their names, as JSON. A name that leads to no file is not among them.
   * @param entries one for each path, ascending.
   * @throws `archive-too-large` when the names of a file repeat more than trees can hold; `temporary-space`.
   */
  async resolve(entries: Iterable<Occurrence>): Promise<SortedSpool> {
    const resolved = new SortedSpool(this.spool);
    if (this.count === 0) return resolved;
    for (let round = 0; round < maxRounds && (await this.someLeadToLinks()); round++) await this.followOnce();
    const rest = this.links();
    let link = rest.next().value;
    const files = entries[Symbol.iterator]();
    let file: Occurrence | undefined = files.next().value;
    let steps = 0;
    for (const { target, names } of counted(this.links())) {
      for (; file !== undefined && file.key < target; file = files.next().value) if (++steps % atOnce === 0) await setImmediate();
      const json = file?.key === target && !isDirectory(file.value) && !isLink(file.value) ? jsonOf(file.value) : undefined;
      const named = json === undefined ? undefined : renamed(json, target, 1 + names);
      named?.(target, resolved);
      for (; link?.target === target; link = rest.next().value) {
        named?.(link.path, resolved);
        if (++steps % atOnce === 0) await setImmediate();
      }
    }
    return resolved;
  }

  /** By target, then by path; each once. */
  private *links(): Generator<Link, undefined> {
    let last = '';
    for (const [key] of this.byTarget.sorted()) {
      if (key === last) continue;
      last = key;
      const cut = key.indexOf(separator);
      yield { target: key.slice(0, cut), path: key.slice(cut + separator.length) };
    }
  }

  /** With what the target is another name of, if it is one. */
  private *linksAndNext(): Generator<Link & { next: string | undefined }> {
    const others = distinct(this.byPath.sorted());
    let other: Occurrence | undefined = others.next().value ?? undefined;
    for (const link of this.links()) {
      while (other !== undefined && other.key < link.target) other = others.next().value ?? undefined;
      yield { ...link, next: other?.key === link.target ? other.value : undefined };
    }
  }

  private async someLeadToLinks(): Promise<boolean> {
    let steps = 0;
    for (const { next } of this.linksAndNext()) {
      if (next !== undefined) return true;
      if (++steps % atOnce === 0) await setImmediate();
    }
    return false;
  }

  private async followOnce(): Promise<void> {
    const [byTarget, byPath] = [new SortedSpool(this.spool), new SortedSpool(this.spool)];
    let steps = 0;
    for (const { target, path, next } of this.linksAndNext()) {
      byTarget.add(`${next ?? target}${separator}${path}`, '');
      byPath.add(path, next ?? target);
      if (++steps % atOnce === 0) await setImmediate();
    }
    this.byTarget = byTarget;
    this.byPath = byPath;
  }
}

/** How many links there are to each target. */
function* counted(links: Iterable<Link>): Generator<{ target: string; names: number }> {
  let current: { target: string; names: number } | undefined;
  for (const { target } of links) {
    if (current?.target === target) current.names++;
    else {
      if (current !== undefined) yield current;
      current = { target, names: 1 };
    }
  }
  if (current !== undefined) yield current;
}

/** Adds a file's node under a name. */
function renamed(json: string, target: string, links: number): (path: string, to: SortedSpool) => void {
  if (json.length * links > maxBytesOfNames) {
    const message = `${displayRaw(pathOf(target))} has ${links} names: the list of its blobs, which each of them repeats, is too long for that`;
    throw new HoldfastError('archive-too-large', message, { file: displayRaw(pathOf(target)), remedy: 'leave the file out' });
  }
  const node = { ...nodeOf(json), links };
  return (path, to) => to.add(path, jsonFromNode({ ...node, name: nameOfKey(path) }));
}
