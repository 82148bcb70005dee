/** How entries of snapshots are listed: as `ls -l` does, and as documents for programs. */
import { statModeFromGo } from '../../format/file-mode.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';

const typeLetters: Record<string, string> = { dir: 'd', symlink: 'l', dev: 'b', chardev: 'c', fifo: 'p', socket: 's' };

export function longLine(path: RawString, node: TreeNode): string {
  const owner = `${node.user || node.uid} ${node.group || node.gid}`;
  const link = node.linkTarget === undefined ? '' : ` -> ${displayRaw(node.linkTarget)}`;
  return `${modeText(node)} ${owner.padEnd(12)} ${String(node.size).padStart(12)} ${node.mtime.slice(0, 19).replace('T', ' ')} ${displayRaw(path)}${link}`;
}

/** As `ls -l` shows it. */
function modeText(node: TreeNode): string {
  const mode = statModeFromGo(node.mode);
  const letters = [...'rwxrwxrwx'].map((letter, i) => ((mode >> (8 - i)) & 1 ? letter : '-'));
  const special = (bit: number, at: number, letter: string) => {
    if (mode & bit) letters[at] = letters[at] === '-' ? letter.toUpperCase() : letter;
  };
  special(0o4000, 2, 's');
  special(0o2000, 5, 's');
  special(0o1000, 8, 't');
  return `${typeLetters[node.type] ?? '-'}${letters.join('')}`;
}

/** Members of a document about an entry. */
export function entryDocument(path: RawString, node: TreeNode): object {
  const { type, mode, mtime, uid, gid, user, group, size, linkTarget } = node;
  return {
    ...pathMembers(path),
    type,
    mode: statModeFromGo(mode),
    mtime,
    uid,
    gid,
    user,
    group,
    size: Number(size),
    ...(linkTarget === undefined ? {} : { linkTarget: displayRaw(linkTarget) }),
  };
}

/** A path that the display cannot say exactly is shown escaped, and exactly in `path_base64`. */
export function pathMembers(path: RawString): { path: string; path_base64?: string } {
  const shown = displayRaw(path);
  return rawFromText(shown) === path ? { path: shown } : { path: shown, path_base64: Buffer.from(path, 'latin1').toString('base64') };
}
