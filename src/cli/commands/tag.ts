import { changeTags, retagSnapshot, type TagChange } from '../../engine/maintenance/retag.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import type { StoredSnapshot } from '../../model/snapshot.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { volumeNameOf } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { displayText } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { findProject } from '../project.ts';
import { type Session, withRepository } from '../session.ts';
import { collect, configureFilter, type FilterOptions, filterOf, isFiltered, snapshotsOfIds, warnOfNone } from '../snapshot-filter.ts';

type Options = FilterOptions & { set?: string[]; add?: string[]; remove?: string[]; force?: boolean; dryRun?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[snapshot...]', 'snapshots whose tags are changed; or choose them by the options below')
      .option('--add <tag[,tag...]>', 'add tags', collect)
      .option('--remove <tag[,tag...]>', 'remove tags', collect)
      .option('--set <tag[,tag...]>', "replace all tags but those that say what a snapshot is of; '' for none", collect);
    configureFilter(commander);
    commander
      .option('--force', 'change the tags project=, volume=, run=, class= and consistency=, too')
      .option('-n, --dry-run', 'write nothing; say what would change');
    commander.addHelpText('after', '\nA snapshot whose tags change gets another id; `original` in it is the first one.');
  },

  async run(context) {
    const { operands, options, cwd } = context;
    const change = changeOf(options);
    if (operands.length > 0 === isFiltered(options)) {
      throw new HoldfastError(
        'usage',
        operands.length > 0 ? 'snapshots are named, or chosen by options, not both' : 'no snapshots were chosen',
        {
          remedy: 'name snapshots, or choose them with --volume, --tag and the like, or --all',
        },
      );
    }
    const configuration = await findProject(context);
    return withRepository(context, configuration, options.dryRun ? 'none' : 'exclusive', async (session) => {
      const all = await listSnapshots(session.repository, (name) =>
        context.output.warning(`the snapshot file ${name} is damaged, and left alone`),
      );
      const chosen = operands.length > 0 ? snapshotsOfIds(all, operands) : all.filter(filterOf(options, configuration, cwd));
      warnOfNone(context.output, options, chosen);
      return retag(context, session, all, chosen, change);
    });
  },
};

const tagsOf = (lists: string[] | undefined): string[] | undefined => lists?.flatMap((list) => list.split(',').map((tag) => tag.trim()));

/** @throws `usage`. */
function changeOf(options: Options): TagChange {
  const [set, add, remove] = [tagsOf(options.set), tagsOf(options.add), tagsOf(options.remove)];
  if (set === undefined && add === undefined && remove === undefined) {
    throw new HoldfastError('usage', 'there is nothing to change', { remedy: 'give --add, --remove or --set' });
  }
  if (set !== undefined && (add !== undefined || remove !== undefined)) {
    throw new HoldfastError('usage', '--set replaces all tags: it goes with neither --add nor --remove');
  }
  return { ...(set && { set }), ...(add && { add }), ...(remove && { remove }) };
}

/** All changes are checked before the first is made. */
async function retag(
  { options, output }: CommandContext<Options>,
  { repository, signal }: Session,
  all: readonly StoredSnapshot[],
  chosen: readonly StoredSnapshot[],
  change: TagChange,
): Promise<number> {
  const { dryRun = false, force = false } = options;
  const changes = chosen
    .map((snapshot) => ({ snapshot, tags: changeTags(snapshot, change, force) }))
    .filter(({ snapshot, tags }) => tags.join() !== snapshot.tags.join());
  let [changed, failed] = [0, 0];
  for (const { snapshot, tags } of changes) {
    signal.throwIfAborted();
    try {
      const id = dryRun ? undefined : await retagSnapshot(repository, snapshot, tags, all);
      changed++;
      output.document({ id, previous: snapshot.id, volume: volumeNameOf(snapshot), tags, dryRun });
      const now = id === undefined ? 'would have' : `is ${shortId(id)} and has`;
      output.line(
        `${shortId(snapshot.id)} of ${displayText(volumeNameOf(snapshot))} ${now} the tags ${displayText(tags.join(', ')) || '(none)'}`,
      );
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      failed++;
      output.error(new HoldfastError(error.code, `the tags of snapshot ${shortId(snapshot.id)} were not changed: ${error.message}`, error));
      // A storage that lets nothing be written or removed lets nothing be changed.
      if (error.code === 'storage-denied') break;
    }
  }
  // Those that failed, and those that were not tried after that, are unchanged too.
  const unchanged = chosen.length - changed;
  output.note(`${formatCount(changed, 'snapshot')} ${dryRun ? 'would be ' : ''}changed, ${formatCount(unchanged)} unchanged`);
  return failed > 0 ? exitCodes.failed : exitCodes.done;
}
