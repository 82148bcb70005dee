/** Regular files: new ones are written, those that are there are compared and only what differs is written. */
import type { TreeNode } from '../../model/node.ts';
import { S_IFMT, S_IFREG } from '../source/posix-constants.ts';
import type { Stat } from '../source/posix-stat.ts';
import type { Comparer, Comparison } from './comparer.ts';
import { type Content, contentOf, zeroEntry } from './content.ts';
import { type PassContext, pathIn } from './context.ts';
import type { Directory } from './directories.ts';
import { clearTheWay, mayReplace, skip } from './existing.ts';
import { decide, inodeKey, type LinkGroup, type LinkGroups } from './links.ts';
import { applyMetadata, differenceNames, metadataOf } from './metadata.ts';
import type { Writer } from './writer.ts';

export class FileRestorer {
  private readonly context: PassContext;
  private readonly links: LinkGroups;
  private readonly writer: Writer;
  private readonly comparer: Comparer;

  constructor(context: PassContext, links: LinkGroups, writer: Writer, comparer: Comparer) {
    this.context = context;
    this.links = links;
    this.writer = writer;
    this.comparer = comparer;
  }

  /** Restores a file; of a group of links the first, on which the others wait. `stat` is what is there. */
  restore(directory: Directory, node: TreeNode, stat: Stat | undefined, group: LinkGroup | undefined): void {
    const { mode, tally, index, options } = this.context;
    const path = pathIn(directory, node.name);
    const content = contentOf(node, index, options.sparse ?? true);
    if (typeof content === 'string') {
      if (mode !== 'verify') tally.problem(path, 'damaged', `not restored: blob ${content} is in no pack that the index knows`);
      return decide(group, false);
    }
    if (stat === undefined) return this.create(directory, node, content, group, this.keepsOld());
    if (!mayReplace(this.context, node, stat) && mode !== 'verify') {
      skip(this.context, path);
      return decide(group, true, inodeKey(stat));
    }
    if ((stat.mode & S_IFMT) !== S_IFREG) {
      if (mode === 'verify') return this.missing(directory, node, 'is not a file');
      if (!clearTheWay(this.context, directory, node.name, stat)) return decide(group, false);
      return this.create(directory, node, content, group, false);
    }
    this.restoreExisting(directory, node, content, stat, group);
  }

  /** When files that are there are kept, a file must not be there before it is complete: a rerun could not tell it from one to keep. */
  private keepsOld(): boolean {
    const { overwrite } = this.context.options;
    return overwrite === 'never' || overwrite === 'if-newer';
  }

  private missing(directory: Directory, node: TreeNode, message: string): void {
    this.context.tally.problem(pathIn(directory, node.name), 'differs', message);
  }

  private create(directory: Directory, node: TreeNode, content: Content, group: LinkGroup | undefined, replaces: boolean): void {
    const { mode, tally } = this.context;
    if (mode === 'verify') {
      this.missing(directory, node, 'is missing after the restore');
      return decide(group, false);
    }
    tally.counts.bytesTotal += content.sizeBytes;
    if (mode === 'dry-run') {
      tally.restored(content.sizeBytes);
      return decide(group, true);
    }
    const isSmall = content.entries.length === 0 || (content.entries.length === 1 && content.entries[0] !== zeroEntry);
    if (group === undefined && isSmall) return this.writer.addSmall(directory, node, content, replaces);
    const onEnd = (complete: boolean) => decide(group, complete);
    const made = this.writer.addLarge(directory, node, content, { replaces, onEnd, linked: () => group?.linked ?? [] });
    // Others may be linked to it as soon as it has its name, and will show what the lanes write.
    if (made && !replaces && group?.state === 'undecided') decide(group, true);
  }

  private restoreExisting(directory: Directory, node: TreeNode, content: Content, stat: Stat, group: LinkGroup | undefined): void {
    const { mode, options } = this.context;
    // A file with names outside of what is restored must not be changed through this one.
    const linksAreRight = group === undefined ? stat.links === 1 : this.links.claim(group, stat);
    if (!linksAreRight && mode === 'write') return this.create(directory, node, content, group, true);
    const metadata = metadataOf(node, options);
    const alone = stat.links === 1;
    const looksEqual = stat.size === content.sizeBytes && stat.mtimeSec === metadata.mtimeSec && stat.mtimeNsec === metadata.mtimeNsec;
    if (options.overwrite === 'if-changed' && looksEqual && mode !== 'verify') {
      const fix = mode === 'write' && alone;
      const fd = this.context.directories.fdOf(directory);
      const differs = applyMetadata(fd, node.name, metadata, { stat }, this.context.warn, fix);
      return this.compared(directory, node, content, stat, group, { same: true, differing: [], metadata: differs });
    }
    this.comparer.add(directory, node, content, mode === 'write' && alone, (found) =>
      this.compared(directory, node, content, stat, group, found),
    );
  }

  private compared(
    directory: Directory,
    node: TreeNode,
    content: Content,
    stat: Stat,
    group: LinkGroup | undefined,
    found: Comparison,
  ): void {
    const { mode, tally } = this.context;
    if (mode === 'verify') {
      this.reportDifference(directory, node, found);
      return decide(group, true, inodeKey(stat));
    }
    const alone = stat.links === 1;
    if (found.same && (found.metadata === 0 || alone || mode === 'dry-run')) {
      tally.counts.bytesTotal += content.sizeBytes;
      if (found.metadata === 0) tally.unchanged(content.sizeBytes);
      else tally.restored(0, content.sizeBytes);
      return decide(group, true, inodeKey(stat));
    }
    if (mode === 'dry-run' || !alone) return this.create(directory, node, content, group, true);
    const onEnd = (complete: boolean) => decide(group, complete, inodeKey(stat));
    if (this.writer.addDiffering(directory, node, content, found.differing, onEnd)) tally.counts.bytesTotal += content.sizeBytes;
    else this.create(directory, node, content, group, true);
  }

  private reportDifference(directory: Directory, node: TreeNode, found: Comparison): void {
    const { tally } = this.context;
    const metadata = found.metadata & ~tally.refusedBits;
    if (!found.same) this.missing(directory, node, 'its content is not what the snapshot holds');
    else if (metadata !== 0) this.missing(directory, node, `not as in the snapshot: ${differenceText(metadata)}`);
  }
}

export const differenceText = (bits: number): string =>
  differenceNames
    .filter(([bit]) => bits & bit)
    .map(([, name]) => name)
    .join(', ');
