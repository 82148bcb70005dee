import { basename, dirname } from 'node:path';
import { countRules, spanRules } from '../../engine/maintenance/retention.ts';
import { defaults } from './defaults.ts';
import { parseListen } from './listen.ts';
import { isMapping, type Mapping, type Mistake, mapping, quoted, suggestion } from './mistakes.ts';
import { notificationMistakes } from './notification-mistakes.ts';
import { remoteSchemes, repositoryPlace, resolvePath } from './repository-url.ts';
import { nameExpectation, namePattern, weekdays } from './schema-parts.ts';
import type { LocatedValue, Path } from './yaml-document.ts';

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/**
 * What is wrong between the keys: names that name nothing, choices made twice or not at all, places that contradict each
 * other. It runs on files that the schema refuses as well, so that all mistakes come at once, and is silent on what the
 * schema has told already.
 */
export function referenceMistakes(document: LocatedValue, file: string): Mistake[] {
  if (!isMapping(document.value)) return [];
  const root = mapping(document.value);
  return [
    ...names(document, root),
    ...emptySections(document, root),
    ...project(document, root, file),
    ...repositories(document, mapping(root.repositories)),
    ...schedules(document, root),
    ...running(document, root),
    ...notificationMistakes(document, root),
    ...retention(document, root),
    ...sources(document, mapping(root.volumes)),
    ...repositoriesInVolumes(document, root, dirname(file)),
  ];
}

const at = (document: LocatedValue, path: Path, text: string): Mistake => ({ offset: document.offsetOfValue(path), text });
const atKey = (document: LocatedValue, path: Path, text: string): Mistake => ({ offset: document.offsetOfKey(path), text });

function names(document: LocatedValue, root: Mapping): Mistake[] {
  return ['volumes', 'repositories', 'schedules', 'notifications'].flatMap((section) =>
    Object.keys(mapping(root[section]))
      .filter((name) => !namePattern.test(name))
      .map((name) => atKey(document, [section, name], `in \`${section}\`: expected ${nameExpectation}, found ${quoted(name)}`)),
  );
}

function emptySections(document: LocatedValue, root: Mapping): Mistake[] {
  return ['volumes', 'repositories']
    .filter((section) => isMapping(root[section]) && Object.keys(mapping(root[section])).length === 0)
    .map((section) => at(document, [section], `\`${section}\`: expected at least one, found none`));
}

function project(document: LocatedValue, root: Mapping, file: string): Mistake[] {
  if (root.project !== undefined || namePattern.test(basename(dirname(file)))) return [];
  return [at(document, [], `the key \`project\` is missing, and the name of the folder cannot stand in: expected ${nameExpectation}`)];
}

function repositories(document: LocatedValue, all: Mapping): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const [name, value] of Object.entries(all)) {
    const repository = mapping(value);
    const path = ['repositories', name];
    if (repository.passwordFile !== undefined && repository.passwordCommand !== undefined) {
      mistakes.push(atKey(document, [...path, 'passwordCommand'], 'expected `passwordFile` or `passwordCommand`, found both'));
    }
    const place = typeof repository.url === 'string' ? repositoryPlace(repository.url) : undefined;
    if (place?.kind === 'unknown') {
      const expected = `expected a path (\`./\` before it when it has a colon) or a URL of ${remoteSchemes.map((s) => `\`${s}:\``).join(', ')}`;
      const near = suggestion(place.scheme, remoteSchemes);
      const hint = near.startsWith(';') ? near : '; other clouds are reached with `rclone:`';
      mistakes.push(at(document, [...path, 'url'], `${expected}, found one of ${quoted(`${place.scheme}:`)}${hint}`));
    }
  }
  return mistakes;
}

function schedules(document: LocatedValue, root: Mapping): Mistake[] {
  const mistakes: Mistake[] = [];
  const repositoryNames = Object.keys(root.repositories === undefined ? defaults.repositories : mapping(root.repositories));
  const check = (path: Path, what: 'repository' | 'volume', name: unknown) => {
    const known = what === 'repository' ? repositoryNames : Object.keys(mapping(root.volumes));
    if (typeof name !== 'string' || name === '' || known.includes(name)) return;
    mistakes.push(at(document, path, `there is no ${what} ${quoted(name)}${suggestion(name, known)}`));
  };
  for (const [name, value] of Object.entries(mapping(root.schedules))) {
    const schedule = mapping(value);
    const path = ['schedules', name];
    mistakes.push(...when(document, path, schedule, isMapping(value)));
    check([...path, 'to'], 'repository', schedule.to);
    for (const [index, volume] of list(schedule.volumes).entries()) check([...path, 'volumes', index], 'volume', volume);
    if (schedule.copy === undefined) continue;
    for (const key of ['to', 'volumes']) {
      if (schedule[key] !== undefined) mistakes.push(atKey(document, [...path, 'copy'], `expected \`${key}\` or \`copy\`, found both`));
    }
    const copy = mapping(schedule.copy);
    check([...path, 'copy', 'from'], 'repository', copy.from);
    check([...path, 'copy', 'to'], 'repository', copy.to);
    if (copy.from !== undefined && copy.from === copy.to) {
      mistakes.push(at(document, [...path, 'copy', 'to'], 'expected two different repositories, found the same twice'));
    }
  }
  return mistakes;
}

/** `cron` or `every`; upkeep and drills have a default. */
function when(document: LocatedValue, path: Path, { cron, every, timeZone }: Mapping, needed: boolean): Mistake[] {
  if (cron !== undefined && every !== undefined) return [atKey(document, [...path, 'every'], 'expected `cron` or `every`, found both')];
  if (every !== undefined && timeZone !== undefined) {
    return [atKey(document, [...path, 'timeZone'], 'expected `timeZone` only with `cron`: `every` is the same everywhere')];
  }
  return needed && cron === undefined && every === undefined ? [at(document, path, 'expected `cron` or `every`, found neither')] : [];
}

function running(document: LocatedValue, root: Mapping): Mistake[] {
  const upkeep = Object.entries(mapping(root.maintenance)).flatMap(([task, value]) =>
    when(document, ['maintenance', task], mapping(value), false),
  );
  const days = list(mapping(root.daemon).quietHours).flatMap((hours, index) =>
    list(mapping(hours).days).flatMap((day, place) =>
      typeof day !== 'string' || day === '' || (weekdays as readonly string[]).includes(day)
        ? []
        : [
            at(
              document,
              ['daemon', 'quietHours', index, 'days', place],
              `expected one of ${weekdays.join(', ')}, found ${quoted(day)}${suggestion(day, weekdays)}`,
            ),
          ],
    ),
  );
  return [...upkeep, ...when(document, ['drills'], mapping(root.drills), false), ...days, ...listening(document, mapping(root.daemon))];
}

/** Who is not on this host must not read secrets on the way. */
function listening(document: LocatedValue, { listen, tls, behindProxy }: Mapping): Mistake[] {
  if (typeof listen !== 'string' || listen === '') return [];
  const place = parseListen(listen);
  const path: Path = ['daemon', 'listen'];
  if (place === undefined) return [at(document, path, 'expected `HOST:PORT` (`[::1]:7468` for IPv6), or the path of a socket')];
  if (place.kind === 'socket' || place.loopback || tls !== undefined || behindProxy === true) return [];
  return [at(document, path, 'expected an address of this host only (`127.0.0.1`), or `tls`, or `behindProxy: true`')];
}

function retention(document: LocatedValue, root: Mapping): Mistake[] {
  const own = mapping(root.retention);
  const places: { path: Path; policy: Mapping }[] = [{ path: ['retention'], policy: own }];
  for (const [name, value] of Object.entries(mapping(root.volumes))) {
    const override = mapping(value).retention;
    if (isMapping(override)) places.push({ path: ['volumes', name, 'retention'], policy: { ...own, ...mapping(override) } });
  }
  return places
    .filter(
      ({ policy }) =>
        spanRules.every((rule) => policy[rule] === undefined) &&
        countRules.every((unit) => (policy[unit] ?? defaults.retention[unit]) === 0),
    )
    .map(({ path }) => at(document, path, 'this would keep no scheduled snapshot at all: expected one count above 0, or `within`'));
}

function sources(document: LocatedValue, volumes: Mapping): Mistake[] {
  return Object.entries(volumes).flatMap(([name, value]) => {
    const source = mapping(value).source;
    if (!isMapping(source)) return [];
    const given = ['directory', 'docker', 'pvc'].filter((kind) => mapping(source)[kind] !== undefined);
    if (given.length === 1) return [];
    const text = `expected one of \`directory\`, \`docker\`, \`pvc\`, found ${given.length === 0 ? 'none' : given.map((kind) => `\`${kind}\``).join(' and ')}`;
    return [at(document, ['volumes', name, 'source'], text)];
  });
}

/** A repository inside a volume would back itself up, and be lost together with it. */
function repositoriesInVolumes(document: LocatedValue, root: Mapping, directory: string): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const [repositoryName, repository] of Object.entries(mapping(root.repositories))) {
    const url = mapping(repository).url;
    const place = typeof url === 'string' ? repositoryPlace(url) : undefined;
    if (place?.kind !== 'local') continue;
    const inner = resolvePath(directory, place.path);
    for (const [volumeName, volume] of Object.entries(mapping(root.volumes))) {
      const source = mapping(mapping(volume).source).directory;
      if (typeof source !== 'string' || !contains(resolvePath(directory, source), inner)) continue;
      const text = `the repository would lie inside the volume ${quoted(volumeName)}, and be backed up into itself and lost with it: expected a place outside`;
      mistakes.push(at(document, ['repositories', repositoryName, 'url'], text));
    }
  }
  return mistakes;
}

/** Of absolute paths without `.` and `..`. */
const contains = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`);
