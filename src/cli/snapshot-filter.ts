/** Options that choose among the snapshots of a repository, for commands that change snapshots. */
import { posix } from 'node:path';
import type { Command as CommanderCommand } from 'commander';
import type { Configuration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { identityFromTags, type StoredSnapshot } from '../model/snapshot.ts';
import { findById } from '../repository/snapshots.ts';
import { volumeNameOf } from './choose-snapshots.ts';
import type { Output } from './output/output.ts';
import { displayText } from './output/text.ts';

export type FilterOptions = { all?: boolean; project?: string[]; volume?: string[]; host?: string[]; tag?: string[]; path?: string[] };

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

export function configureFilter(commander: CommanderCommand): void {
  commander
    .option('-a, --all', 'of all projects and other tools, not of the project of holdfast.yaml alone')
    .option('--project <name>', 'only of this project', collect)
    .option('--volume <name>', 'only of this volume', collect)
    .option('--host <name>', 'only of this host', collect)
    .option('--tag <tag[,tag...]>', 'only with all these tags; given again: or all those', collect)
    .option('--path <path>', 'only of this absolute path', collect);
}

/** Whether anything but the project of `holdfast.yaml` was asked for. */
export const isFiltered = ({ all, project, volume, host, tag, path }: FilterOptions): boolean =>
  all === true || [project, volume, host, tag, path].some((given) => given !== undefined);

/**
 * A test for the snapshots that options mean. Each option that is given must hold; of values that are given for one, any is enough, but
 * all paths. With a `holdfast.yaml`, snapshots are those of its project, unless `--all` or `--project` says otherwise.
 */
export function filterOf(
  options: FilterOptions,
  configuration: Configuration | undefined,
  cwd: string,
): (snapshot: StoredSnapshot) => boolean {
  const { all, volume, host, tag } = options;
  const projects = options.project ?? (all || configuration === undefined ? undefined : [configuration.project]);
  const paths = options.path?.map((path) => posix.resolve(cwd, path));
  const tagLists = tag?.map((list) => list.split(',').map((text) => text.trim()));
  return (snapshot) => {
    const identity = identityFromTags(snapshot.tags);
    if (projects && !(identity && projects.includes(identity.project))) return false;
    if (volume && !volume.includes(volumeNameOf(snapshot))) return false;
    if (host && !host.includes(snapshot.hostname)) return false;
    if (paths && !paths.every((path) => snapshot.paths.includes(path))) return false;
    return (
      tagLists === undefined ||
      tagLists.some((list) => list.every((text) => (text === '' ? snapshot.tags.length === 0 : snapshot.tags.includes(text))))
    );
  };
}

/** Says so when filters were given and nothing passes them: a name that is misspelt must not look like work that is done. */
export function warnOfNone(output: Output, options: FilterOptions, chosen: readonly StoredSnapshot[]): void {
  if (chosen.length > 0) return;
  const given = Object.entries(options).flatMap(([name, value]) =>
    filterNames.has(name) && Array.isArray(value) ? value.map((text) => `--${name} ${displayText(String(text))}`) : [],
  );
  if (given.length > 0) output.warning(`no snapshots match ${given.join(' ')}`);
}

const filterNames = new Set(['project', 'volume', 'host', 'tag', 'path']);

/** A number that slipped in must not name a snapshot: fewer characters would be the beginning of some id in most repositories. */
const idPattern = /^[0-9a-f]{4,64}$/;

/** The snapshots of ids or their beginnings, each once. @throws `snapshot-missing`, also for what is no id; `snapshot-ambiguous`. */
export function snapshotsOfIds(snapshots: readonly StoredSnapshot[], ids: readonly string[]): StoredSnapshot[] {
  return [...new Set(ids.map((id) => findById(snapshots, requireId(id, '; volumes are chosen with --volume'))))];
}

/** A word that may be the id of a snapshot, or its beginning. @param more for the remedy. @throws `snapshot-missing`. */
export function requireId(word: string, more = ''): string {
  if (idPattern.test(word)) return word;
  throw new HoldfastError('snapshot-missing', `${JSON.stringify(word)} is not the id of a snapshot`, {
    remedy: `run \`holdfast snapshots\` for ids, of which 4 characters are needed${more}`,
  });
}
