/** Collects what a check finds: each damage once, and never more than memory bears. */
import type { CheckFinding } from '../../model/events.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { BlobIndex } from '../../repository/blob-index.ts';
import type { Damage, DamageKind } from './damage.ts';

/** Damages listed one by one; what is beyond is summed up in one finding, which names the affected paths all the same. */
const maxErrors = 1000;
/** The same for notes, which affect nothing. */
const maxNotes = 100;

/** A tree's entry that is wrong in itself, and the finding that says so. */
export type BadNode = { name: RawString; finding: number };

export class Findings {
  readonly errors: CheckFinding[] = [];
  readonly notes: CheckFinding[] = [];
  /** Number of errors and notes, listed or not. */
  errorCount = 0;
  noteCount = 0;
  /** Some index file could not be read: what seems to be in no index may be in that one. */
  indexIsPartial = false;
  /** Findings of every entry of the index whose copy is unusable. */
  readonly badEntries = new Map<number, number>();
  /** Findings of blobs that no index names, by `kind:id`. */
  readonly missingBlobs = new Map<string, number>();
  /** Findings of blobs of which no copy is usable, by their newest entry in the index. */
  readonly lost = new Map<number, number>();
  /** Findings of trees that are useless in every copy, by their newest entry in the index. */
  readonly badTrees = new Map<number, number>();
  /** By the tree's newest entry in the index. */
  readonly badNodes = new Map<number, BadNode[]>();
  /** Snapshots that are affected as a whole. */
  readonly badSnapshots: { snapshot: string; finding: number }[] = [];

  note(kind: DamageKind, message: string, file?: string): void {
    this.noteCount++;
    if (this.notes.length >= maxNotes) return;
    this.notes.push({ severity: 'note', kind, message, ...(file === undefined ? {} : { file }), affects: [] });
  }

  /** Records a damage; one whose entries and blobs are all known to be unusable already is not told twice. */
  add(damage: Damage): void {
    if (damage.kind === 'file-size') return this.note(damage.kind, damage.message, damage.file);
    const finding = this.known(damage) ?? this.open(damage.missing !== undefined && this.indexIsPartial ? unknowable(damage) : damage);
    for (const entry of damage.entries ?? []) if (!this.badEntries.has(entry)) this.badEntries.set(entry, finding);
    for (const entry of damage.lost ?? []) this.lost.set(entry, finding);
    if (damage.tree !== undefined) this.badTrees.set(damage.tree, finding);
    if (damage.missing !== undefined) this.missingBlobs.set(`${damage.missing.kind}:${damage.missing.id}`, finding);
    if (damage.snapshot !== undefined) this.badSnapshots.push({ snapshot: damage.snapshot, finding });
    if (damage.node !== undefined) {
      const { tree, name } = damage.node;
      const nodes = this.badNodes.get(tree);
      if (nodes === undefined) this.badNodes.set(tree, [{ name, finding }]);
      else nodes.push({ name, finding });
    }
  }

  /** @returns the finding that has told of this damage already. */
  private known({ kind, entries, missing }: Damage): number | undefined {
    if (missing !== undefined) return this.missingBlobs.get(`${missing.kind}:${missing.id}`);
    if (kind !== 'blob-damaged' || entries === undefined || entries.length !== 1) return undefined;
    return this.badEntries.get(entries[0] as number);
  }

  /** @returns the number of the finding that stands for the damage. */
  private open({ kind, message, file }: Damage): number {
    this.errorCount++;
    if (this.errors.length < maxErrors) {
      this.errors.push({ severity: 'error', kind, message, ...(file === undefined ? {} : { file }), affects: [] });
    } else if (this.errors.length === maxErrors) {
      this.errors.push({ severity: 'error', kind: 'more', message: '', affects: [] });
    }
    const last = this.errors.length - 1;
    if (last === maxErrors) (this.errors[last] as CheckFinding).message = `${this.errorCount - maxErrors} more errors like these`;
    return last;
  }

  /**
   * Findings of every blob that no usable copy is left of, by the number of its newest entry in the index. (A damaged copy
   * of a blob that has another, intact one affects nobody.)
   */
  lostBlobs(index: BlobIndex): Map<number, number[]> {
    const byBlob = new Map<number, Set<number>>();
    const badCopies = new Map<number, number>();
    for (const [entry, finding] of this.badEntries) {
      const blob = index.find(index.idOf(entry), index.kindOf(entry));
      badCopies.set(blob, (badCopies.get(blob) ?? 0) + 1);
      byBlob.set(blob, (byBlob.get(blob) ?? new Set()).add(finding));
    }
    const lost = new Map<number, number[]>();
    for (const [blob, finding] of this.lost) lost.set(blob, [finding]);
    for (const [tree, finding] of this.badTrees) lost.set(tree, [finding]);
    for (const [blob, findings] of byBlob) {
      const copies = index.locations(index.idOf(blob), index.kindOf(blob)).length;
      if ((badCopies.get(blob) as number) >= copies) lost.set(blob, [...findings.union(new Set(lost.get(blob)))]);
    }
    return lost;
  }
}

const unknowable = (damage: Damage): Damage => ({
  ...damage,
  kind: 'unreadable',
  message: `${damage.message}; an index file that could not be read may name it`,
});
