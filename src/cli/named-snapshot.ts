/** What one word of a command line means that stands for one snapshot, and perhaps for a path in it. */
import type { Configuration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { type RawString, rawFromText } from '../model/raw-bytes.ts';
import type { StoredSnapshot } from '../model/snapshot.ts';
import { chooseSnapshots, volumeNameOf } from './choose-snapshots.ts';

export type NamingContext = {
  snapshots: readonly StoredSnapshot[];
  configuration: Configuration | undefined;
  /** The volume that times, runs and `latest` are meant of; where there is one only, it needs no name. */
  volume: string | undefined;
  /** What the name of a volume alone stands for. Default `latest`. */
  at?: string | undefined;
  now: Date;
};

export type NamedSnapshot = { snapshot: StoredSnapshot; volume: string; path: RawString };

const idPattern = /^[0-9a-f]{4,64}$/;

/**
 * The snapshot of an id or its beginning, of a volume's name, of a time, of a run, or `latest`; behind the first two and `latest`, `:PATH` may
 * stand for what is in it.
 * @throws as `chooseSnapshots`; `snapshot-ambiguous` when several volumes could be meant.
 */
export function findNamedSnapshot(text: string, context: NamingContext): NamedSnapshot {
  const [name, path] = splitPath(text, context);
  const { snapshots, now, volume, at } = context;
  const byId = isId(name, context);
  const asVolume = !byId && isVolume(name, context);
  if (asVolume && volume !== undefined && volume !== name) {
    throw new HoldfastError('usage', `${JSON.stringify(name)} and --volume ${volume} are different volumes`, {
      remedy: 'name one of them',
    });
  }
  const wanted = asVolume ? name : volume;
  const choices = chooseSnapshots({
    snapshots,
    configuration: byId ? undefined : context.configuration,
    volumes: wanted === undefined ? [] : [wanted],
    at: asVolume ? at : name,
    now,
  });
  const [choice] = choices;
  if (choice === undefined) throw new HoldfastError('snapshot-missing', `there is no snapshot ${JSON.stringify(name)}`);
  if (choices.length > 1) {
    throw new HoldfastError(
      'snapshot-ambiguous',
      `${JSON.stringify(name)} could be of several volumes: ${choices.map((one) => one.volume).join(', ')}`,
      {
        remedy: 'name one with --volume, or give the id of a snapshot',
      },
    );
  }
  return { snapshot: choice.snapshot, volume: choice.volume, path: relativePath(path) };
}

/** A path in a snapshot as trees have it: from the root, without slashes at its ends. */
export const relativePath = (path: string): RawString =>
  rawFromText(
    path
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/'),
  );

export const joinPaths = (...parts: RawString[]): RawString => parts.filter((part) => part !== '').join('/') as RawString;

/** Times have colons too: only behind what can be nothing else one begins a path. */
function splitPath(text: string, context: NamingContext): [name: string, path: string] {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon);
  const splits = colon > 0 && (name === 'latest' || isId(name, context) || isVolume(name, context));
  return splits ? [name, text.slice(colon + 1)] : [text, ''];
}

const isId = (text: string, { snapshots }: NamingContext): boolean =>
  idPattern.test(text) && snapshots.some(({ id }) => id.startsWith(text));

function isVolume(text: string, { snapshots, configuration }: NamingContext): boolean {
  return configuration?.volumes.some(({ name }) => name === text) || snapshots.some((snapshot) => volumeNameOf(snapshot) === text);
}
