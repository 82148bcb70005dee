import { exitCodes } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatSize } from '../../model/quantities.ts';
import { identityFromTags, type StoredSnapshot } from '../../model/snapshot.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import { volumeNameOf } from '../choose-snapshots.ts';
import type { Command } from '../command.ts';
import { displayText } from '../output/text.ts';
import { findProject, withRepository } from '../session.ts';

type Options = { all?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[volume...]', 'volumes to list; all when none is named')
      .option('-a, --all', 'list snapshots of other projects and of other tools too');
    commander.addHelpText(
      'after',
      '\nSnapshots of one restore point have the same run. Without a holdfast.yaml, all snapshots of the repository are listed.',
    );
  },

  async run(context) {
    const { output, operands, options } = context;
    const configuration = await findProject(context);
    const project = options.all ? undefined : configuration?.project;
    const snapshots = await withRepository(context, configuration, 'none', ({ repository }) =>
      listSnapshots(repository, (name) => output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``)),
    );
    const shown = snapshots.filter((snapshot) => {
      if (operands.length > 0 && !operands.includes(volumeNameOf(snapshot))) return false;
      return project === undefined || identityFromTags(snapshot.tags)?.project === project;
    });
    for (const snapshot of shown) output.document(documentOf(snapshot));
    const columns = [
      { title: 'ID' },
      { title: 'TIME' },
      { title: 'VOLUME' },
      { title: 'CLASS' },
      { title: 'CONSISTENCY' },
      { title: 'FILES', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'RUN' },
    ] as const;
    if (shown.length > 0 || output.json) output.table(columns, shown.map(rowOf));
    if (shown.length === 0) output.note(snapshots.length === 0 ? 'no snapshots yet: run `holdfast backup`' : 'no snapshots match');
    return exitCodes.done;
  },
};

function rowOf(snapshot: StoredSnapshot): string[] {
  const identity = identityFromTags(snapshot.tags);
  const { summary } = snapshot;
  return [
    shortId(snapshot.id),
    snapshot.time.replace(/\.\d+/, ''),
    displayText(volumeNameOf(snapshot)),
    identity?.class ?? '-',
    identity?.consistency ?? '-',
    summary ? String(summary.totalFilesProcessed) : '-',
    summary ? formatSize(summary.totalBytesProcessed) : '-',
    displayText(identity?.run ?? '-'),
  ];
}

/** One line of `--json`: identity in fields, the rest as restic names it. */
function documentOf(snapshot: StoredSnapshot): object {
  const { id, time, parent, tree, paths, hostname, username, tags, programVersion, summary } = snapshot;
  return { id, time, parent, tree, ...identityFromTags(tags), paths, hostname, username, tags, programVersion, summary };
}
