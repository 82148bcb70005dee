import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { displayRaw } from '../../model/raw-bytes.ts';
import { createBlobReader } from '../../repository/blob-reader.ts';
import { findNode, type ListedNode, listTree } from '../../repository/list-tree.ts';
import { loadIndex } from '../../repository/load-index.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command } from '../command.ts';
import { findNamedSnapshot, joinPaths, relativePath } from '../named-snapshot.ts';
import { entryDocument, longLine } from '../output/listing.ts';
import { findProject } from '../project.ts';
import { withRepository } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = { at?: string; volume?: string; recursive?: boolean; long?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<volume|snapshot>', 'a volume, the id of a snapshot, `latest` or a time; `ID:PATH` for a part')
      .argument('[path]', "a directory or file in it; default the volume's root")
      .option('--volume <name>', 'the volume that `latest` or a time is of')
      .option(
        '--at <time|snapshot>',
        'of a volume: the newest snapshot at or before this time (`2 hours ago`, `2026-11-22 14:30`)',
        'latest',
      )
      .option('-R, --recursive', 'list what is in subdirectories too')
      .option('-l, --long', 'with modes, owners, sizes and times');
  },

  async run(context) {
    const { operands, options, output, signal } = context;
    const [what = '', path = ''] = operands;
    const configuration = await findProject(context);
    await withRepository(context, configuration, 'none', async ({ repository }) => {
      const [snapshots, index] = await Promise.all([listSnapshots(repository), loadIndex(repository)]);
      const { volume, at: moment } = options;
      const named = findNamedSnapshot(what, { snapshots, configuration, volume, at: moment, now: systemClock.now() });
      const blobs = createBlobReader({ storage: repository.storage, seal: repository.seal, index });
      const at = joinPaths(named.path, relativePath(path));
      const node = await findNode(blobs, named.snapshot.tree, at);
      const show = (listed: ListedNode) => {
        output.document(entryDocument(listed.path, listed.node));
        output.line(options.long ? longLine(listed.path, listed.node) : displayRaw(listed.path));
      };
      if (node !== undefined && node.type !== 'dir') return show({ path: at, node });
      const tree = node === undefined ? named.snapshot.tree : node.subtree;
      if (tree === undefined) throw new HoldfastError('damaged', `the directory ${displayRaw(at)} has no tree`, { file: displayRaw(at) });
      for await (const listed of listTree(blobs, tree, at, options.recursive ?? false)) {
        signal.throwIfAborted();
        show(listed);
      }
    });
    return exitCodes.done;
  },
};
