/** Which directories of an archive are which volumes. Pure. */
import { HoldfastError } from '../../model/errors.ts';
import { type RawString, rawFromText, textFromRaw } from '../../model/raw-bytes.ts';

export const layouts = ['auto', 'volumes', 'single', 'container'] as const;
export type Layout = (typeof layouts)[number];

/** What a directory of the archive holds; undefined for a path that is none. */
export type LookUp = (path: RawString) => { directories: readonly RawString[]; others: readonly RawString[] } | undefined;

export type KnownVolume = {
  name: string;
  /** Its name on the platform, where that is another. */
  platformName: string;
  /** Where the application mounts it. */
  path: string | undefined;
};

export type LayoutQuestion = {
  layout: Layout;
  /** `--volume`. */
  volume: string | undefined;
  volumes: readonly KnownVolume[];
  lookUp: LookUp;
  /** Name of the archive's file, in which a volume's may stand. */
  fileName: string | undefined;
  /** Files of the root that belong to no volume. */
  ignored: ReadonlySet<string>;
};

export type FoundVolume = { volume: string; root: RawString; declared: boolean };

export type FoundLayout = {
  layout: Exclude<Layout, 'auto'>;
  volumes: FoundVolume[];
  /** What lies beside the volumes, and is in none. */
  leftOut: RawString[];
};

/** Directories in which backup scripts mount volumes, and below which Docker keeps them. */
const wrappers = new Set<string>(['source', 'backup', 'backups', 'volumes', 'var', 'var/lib', 'var/lib/docker', 'var/lib/docker/volumes']);
const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/**
 * @throws `usage` when it can't be told which volume an archive is of; `unknown-volume` for a volume that is neither in the archive nor
 * in holdfast.yaml.
 */
export function findLayout(question: LayoutQuestion): FoundLayout {
  const { layout } = question;
  const base = unwrapped(question, wrappers);
  if (layout === 'container') return need(containerLayout(question), question);
  if (layout === 'volumes') return volumesLayout(question, base);
  if (layout === 'single') return singleLayout(question);
  const volumes = volumesLayout(question, base);
  if (volumes.volumes.some(({ declared }) => declared) || isExport(question)) return volumes;
  if (isContainer(question.lookUp)) return need(containerLayout(question), question);
  return containerLayout(question) ?? singleLayout(question);
}

const need = (found: FoundLayout | undefined, { volume }: LayoutQuestion): FoundLayout => {
  if (found !== undefined) return found;
  throw new HoldfastError('usage', `the archive holds no directory at the path of ${volume ?? 'any volume'}`, {
    remedy: 'say in holdfast.yaml, with `path`, where the container had the data; or give --layout single',
  });
};

const isExport = ({ lookUp, ignored }: LayoutQuestion): boolean => lookUp(root)?.others.some((name) => ignored.has(name)) ?? false;

const root = '' as RawString;
const join = (path: RawString, name: string): RawString => (path === '' ? name : `${path}/${name}`) as RawString;

/** Goes down while there is nothing but one directory of such a name. */
function unwrapped({ lookUp }: Pick<LayoutQuestion, 'lookUp'>, names: ReadonlySet<string>): RawString {
  let base = root;
  for (;;) {
    const { directories = [], others = [] } = lookUp(base) ?? {};
    const [only] = directories;
    if (only === undefined || directories.length > 1 || others.length > 0 || !names.has(join(base, only))) return base;
    base = join(base, only);
  }
}

function volumesLayout(question: LayoutQuestion, base: RawString): FoundLayout {
  const { lookUp, ignored, volume: wanted } = question;
  const { directories = [], others = [] } = lookUp(base) ?? {};
  const leftOut: RawString[] = others.filter((name) => !(base === root && ignored.has(name))).map((name) => join(base, name));
  const volumes: FoundVolume[] = [];
  for (const directory of directories) {
    const found = volumeOf(question, directory);
    const twice = volumes.some(({ volume }) => volume === found?.volume);
    if (found === undefined || twice || (wanted !== undefined && found.volume !== wanted)) leftOut.push(join(base, directory));
    else volumes.push({ ...found, root: dataOf(question, join(base, directory)) });
  }
  if (wanted !== undefined && volumes.length === 0 && question.layout === 'volumes') {
    throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(wanted)} in the archive`, {
      remedy: 'see with --dry-run which there are',
    });
  }
  return { layout: 'volumes', volumes, leftOut };
}

function volumeOf({ volumes }: LayoutQuestion, directory: RawString): { volume: string; declared: boolean } | undefined {
  const name = textFromRaw(directory);
  const known = volumes.find((volume) => volume.name === name) ?? volumes.find((volume) => volume.platformName === name);
  if (known !== undefined) return { volume: known.name, declared: true };
  return name !== undefined && volumeName.test(name) ? { volume: name, declared: false } : undefined;
}

/** Docker keeps a volume's content one directory further down. */
function dataOf({ lookUp }: LayoutQuestion, path: RawString): RawString {
  const { directories = [], others = [] } = lookUp(path) ?? {};
  const only = directories.length === 1 && directories[0] === '_data' && others.every((name) => name === 'opts.json');
  return only ? join(path, '_data') : path;
}

/** A container's whole file system, or one path of it: volumes are where holdfast.yaml says that they are mounted. */
function containerLayout(question: LayoutQuestion): FoundLayout | undefined {
  const { volumes, volume: wanted, lookUp } = question;
  const found: FoundVolume[] = [];
  const whole = question.layout === 'container' || isContainer(lookUp);
  for (const { name, path } of volumes) {
    const at = rawFromText(path ?? '').replace(/^\/+|\/+$/g, '') as RawString;
    if (at === '' || lookUp(at) === undefined || (wanted !== undefined && wanted !== name)) continue;
    if (whole || isOnlyWay(lookUp, at)) found.push({ volume: name, root: at, declared: true });
  }
  return found.length === 0 ? undefined : { layout: 'container', volumes: found, leftOut: [] };
}

function isContainer(lookUp: LookUp): boolean {
  const { directories = [], others = [] } = lookUp(root) ?? {};
  return (
    others.includes('.dockerenv' as RawString) || ['etc', 'usr', 'proc', 'sys'].every((name) => directories.includes(name as RawString))
  );
}

function isOnlyWay(lookUp: LookUp, path: RawString): boolean {
  let at = root;
  for (const part of path.split('/')) {
    const { directories = [], others = [] } = lookUp(at) ?? {};
    if (others.length > 0 || directories.length !== 1 || directories[0] !== part) return false;
    at = join(at, part);
  }
  return true;
}

/** Who says that it is one volume gets the archive's root; else a directory that only holds all the rest is not the volume's. */
function singleLayout(question: LayoutQuestion): FoundLayout {
  const base = question.layout === 'single' ? root : unwrapped(question, new Set(['source', 'backup', '_data']));
  return { layout: 'single', volumes: [{ volume: singleVolume(question), root: base, declared: true }], leftOut: [] };
}

/** The volume that was named; else the only one whose name the file's name holds; else the only one that there is. */
function singleVolume({ volume, volumes, fileName = '' }: LayoutQuestion): string {
  if (volume !== undefined) {
    if (volumes.some(({ name }) => name === volume)) return volume;
    throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(volume)} in holdfast.yaml`);
  }
  const named = volumes.filter(({ name }) => fileName.includes(name));
  const longest = named.filter(({ name }) => !named.some((other) => other.name !== name && other.name.includes(name)));
  const [only] = longest.length === 1 ? longest : volumes.length === 1 ? volumes : [];
  if (only !== undefined) return only.name;
  throw new HoldfastError('usage', 'it cannot be told which volume the archive is of', {
    remedy: 'name it with --volume, or say with --layout volumes that the directories at its root are volumes',
  });
}
