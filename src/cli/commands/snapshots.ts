import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatSize } from '../../model/quantities.ts';
import { identityFromTags, isRepaired, type StoredSnapshot } from '../../model/snapshot.ts';
import { listSnapshotIds, readSnapshots } from '../../repository/snapshots.ts';
import { volumeNameOf } from '../choose-snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { displayText } from '../output/text.ts';
import { findProject } from '../project.ts';
import { withRepository } from '../session.ts';
import { configureFilter, type FilterOptions, filterOf, warnOfNone } from '../snapshot-filter.ts';

type Options = FilterOptions & { except?: string };

export const command: Command<Options> = {
  configure(commander) {
    commander.argument('[volume...]', 'volumes to list; all when none is named');
    configureFilter(commander);
    commander.option(
      '--except <file>',
      'leave out the snapshots of this file, an id a line; with --json, last comes a list of all that there are',
    );
    commander.addHelpText(
      'after',
      '\nSnapshots of one restore point have the same run. Without a holdfast.yaml, all snapshots of the repository are listed.',
    );
  },

  async run(context) {
    const { output, operands, options, cwd } = context;
    // Not by HOLDFAST_SERVER: a daemon that has it in its environment lists its repositories by this command.
    if (context.global.server !== undefined) return listOfDaemon(context);
    const configuration = await findProject(context);
    const known = options.except === undefined ? undefined : await readIds(resolve(cwd, options.except));
    const { ids, snapshots } = await withRepository(context, configuration, 'none', async ({ repository }) => {
      const ids = await listSnapshotIds(repository);
      const wanted = known === undefined ? ids : ids.filter((id) => !known.has(id));
      const warn = (name: string) => output.warning(`the snapshot file ${name} is damaged; run \`holdfast check\``);
      return { ids, snapshots: await readSnapshots(repository, wanted, warn) };
    });
    const matches = filterOf(options, configuration, cwd);
    const named = (snapshot: StoredSnapshot) => operands.length === 0 || operands.includes(volumeNameOf(snapshot));
    const shown = snapshots.filter((snapshot) => matches(snapshot) && named(snapshot));
    warnOfNone(output, options, shown);
    for (const snapshot of shown) output.document(documentOf(snapshot));
    if (known !== undefined) output.document({ present: ids });
    if (shown.length > 0 || output.json) output.table(columns, shown.map(rowOf));
    if (shown.length === 0) output.note(snapshots.length === 0 ? 'no snapshots yet: run `holdfast backup`' : 'no snapshots match');
    return exitCodes.done;
  },
};

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

/** What the daemon knows of the project's snapshots, newest first; the documents are the API's. */
async function listOfDaemon(context: CommandContext<Options>): Promise<number> {
  const { output, operands, options, global } = context;
  const others = (['all', 'project', 'host', 'tag', 'path', 'except'] as const).filter((name) => options[name] !== undefined);
  if (others.length > 0)
    throw new HoldfastError('usage', `a daemon's snapshots are not chosen by --${others[0]}`, {
      remedy: 'name volumes, or leave out --server',
    });
  const volumes = [...operands, ...(options.volume ?? [])];
  const { daemonClient } = await import('../daemon-client.ts');
  const client = await daemonClient(context);
  const rows: string[][] = [];
  for await (const snapshot of client.all('listSnapshots', { query: { limit: 1000, repository: global.repository } })) {
    if (volumes.length > 0 && !volumes.includes(snapshot.volume)) continue;
    output.document(snapshot);
    const { id, timeMs, volume, class: snapshotClass, consistency, files, bytes, run } = snapshot;
    const time = new Date(timeMs).toISOString().replace(/\.\d+/, '');
    rows.push([
      displayText(shortId(id)),
      time,
      displayText(volume),
      displayText(snapshotClass),
      displayText(consistency),
      String(files),
      formatSize(bytes),
      displayText(run),
    ]);
  }
  output.table(columns, rows);
  return exitCodes.done;
}

async function readIds(file: string): Promise<Set<string>> {
  try {
    return new Set((await readFile(file, 'utf8')).split('\n'));
  } catch (cause) {
    throw new HoldfastError('usage', `the ids to leave out cannot be read from ${file}`, {
      cause,
      file,
      remedy: 'give a file with an id a line',
    });
  }
}

function rowOf(snapshot: StoredSnapshot): string[] {
  const identity = identityFromTags(snapshot.tags);
  const { summary } = snapshot;
  return [
    shortId(snapshot.id),
    snapshot.time.replace(/\.\d+/, ''),
    displayText(volumeNameOf(snapshot)),
    identity?.class ?? '-',
    `${identity?.consistency ?? '-'}${isRepaired(snapshot) ? ', repaired' : ''}`,
    summary ? String(summary.totalFilesProcessed) : '-',
    summary ? formatSize(summary.totalBytesProcessed) : '-',
    displayText(identity?.run ?? '-'),
  ];
}

/** One line of `--json`: identity in fields, the rest as restic names it. */
function documentOf(snapshot: StoredSnapshot): object {
  const {
    id,
    time,
    parent,
    tree,
    original,
    paths,
    hostname,
    username,
    tags,
    programVersion,
    summary,
    problems: unreadable,
    downtimeMs,
    kinds,
    incompressibleBytes,
  } = snapshot;
  const fields = { paths, hostname, username, tags, programVersion, summary, unreadable, downtimeMs, kinds, incompressibleBytes };
  return { id, time, parent, tree, original, ...identityFromTags(tags), ...fields };
}
