import { statModeFromGo } from '../../format/file-mode.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { TreeNode } from '../../model/node.ts';
import { displayRaw, type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { findNode, type ListedNode, listTree } from '../../repository/list-tree.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { chooseSnapshots } from '../choose-snapshots.ts';
import type { Command } from '../command.ts';
import { findProject, systemClock, withRepository } from '../session.ts';

type Options = { at?: string; recursive?: boolean; long?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<volume|snapshot>', 'a volume, or the id of a snapshot')
      .argument('[path]', "a directory or file in it; default the volume's root")
      .option('--at <time|snapshot>', 'the newest snapshot at or before this time (`2 hours ago`, `2026-11-22 14:30`)', 'latest')
      .option('-R, --recursive', 'list what is in subdirectories too')
      .option('-l, --long', 'with modes, owners, sizes and times');
  },

  async run(context) {
    const { operands, options, output, signal } = context;
    const [what = '', path = ''] = operands;
    const configuration = await findProject(context);
    await withRepository(context, configuration, 'none', async ({ repository }) => {
      const [snapshots, index] = await Promise.all([listSnapshots(repository), loadIndex(repository)]);
      const bySnapshot = /^[0-9a-f]{4,64}$/.test(what) && snapshots.some(({ id }) => id.startsWith(what));
      const [choice] = chooseSnapshots({
        snapshots,
        configuration: bySnapshot ? undefined : configuration,
        volumes: bySnapshot ? [] : [what],
        at: bySnapshot ? what : options.at,
        now: systemClock.now(),
      });
      if (choice === undefined) throw new HoldfastError('snapshot-missing', `there is no snapshot of ${what}`);
      const blobs = createBlobReader({ storage: repository.storage, seal: repository.seal, index });
      const at = rawFromText(path.replace(/^\/+|\/+$/g, ''));
      const node = await findNode(blobs, choice.snapshot.tree, at);
      const show = (listed: ListedNode) => {
        output.document(documentOf(listed));
        output.line(options.long ? longLine(listed) : displayRaw(listed.path));
      };
      if (node !== undefined && node.type !== 'dir') return show({ path: at, node });
      const tree = node === undefined ? choice.snapshot.tree : node.subtree;
      if (tree === undefined) throw new HoldfastError('damaged', `the directory ${displayRaw(at)} has no tree`, { file: displayRaw(at) });
      for await (const listed of listTree(blobs, tree, at, options.recursive ?? false)) {
        signal.throwIfAborted();
        show(listed);
      }
    });
    return exitCodes.done;
  },
};

const typeLetters: Record<string, string> = { dir: 'd', symlink: 'l', dev: 'b', chardev: 'c', fifo: 'p', socket: 's' };

function longLine({ path, node }: ListedNode): string {
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

/** One line of `--json`. A path that is not UTF-8 is shown escaped, and exactly in `path_base64`. */
function documentOf({ path, node }: ListedNode): object {
  const { type, mode, mtime, uid, gid, user, group, size, linkTarget } = node;
  return {
    path: displayRaw(path),
    ...(isPlain(path) ? {} : { path_base64: Buffer.from(path, 'latin1').toString('base64') }),
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

const isPlain = (path: RawString): boolean => rawFromText(displayRaw(path)) === path;
