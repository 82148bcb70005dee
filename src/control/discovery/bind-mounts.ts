/**
 * Bind mounts in the text of a compose file, and the same text with named volumes in their place. Only the characters that must change do:
 * comments, order and layout stay as their author has them. Pure.
 */
import { isMap, isScalar, isSeq, type Pair, parseDocument, type Scalar, type YAMLMap } from 'yaml';
import { HoldfastError } from '../../model/errors.ts';

export type BindEntry = {
  service: string;
  /** As written. */
  from: string;
  /** In the container. */
  path: string;
  readOnly: boolean;
  /** Why it can be no named volume as it stands; undefined when it can. */
  hindrance: string | undefined;
};

type Edit = { start: number; end: number; text: string };
type Found = { entry: BindEntry; edits: (volume: string) => Edit[] };

/** All bind mounts, in the order of the file. @throws `configuration` when it is no YAML that can be edited. */
export const bindMountsOf = (text: string, file: string): BindEntry[] => findBinds(text, file).map(({ entry }) => entry);

/**
 * @param volumeOf the key of the volume that takes an entry's place; undefined for entries that stay.
 * @param declare keys to add to the file's top-level `volumes`; those that are there stay as they are.
 * @throws `configuration`.
 */
export function withNamedVolumes(
  text: string,
  file: string,
  volumeOf: (entry: BindEntry) => string | undefined,
  declare: readonly string[],
): string {
  const edits = findBinds(text, file).flatMap(({ entry, edits: make }) => {
    const volume = entry.hindrance === undefined ? volumeOf(entry) : undefined;
    return volume === undefined ? [] : make(volume);
  });
  edits.push(...declarations(text, file, declare));
  let result = text;
  for (const { start, end, text: replacement } of edits.sort((a, b) => b.start - a.start)) {
    result = result.slice(0, start) + replacement + result.slice(end);
  }
  return result;
}

function parse(text: string, file: string): YAMLMap {
  const document = parseDocument(text, { keepSourceTokens: true, merge: true, logLevel: 'error' });
  const [mistake] = document.errors;
  if (mistake === undefined && isMap(document.contents)) return document.contents as YAMLMap;
  const line = mistake?.linePos?.[0].line;
  throw new HoldfastError('configuration', `${file}${line === undefined ? '' : `:${line}`}: this is no compose file that can be read`, {
    file,
  });
}

function findBinds(text: string, file: string): Found[] {
  const services = parse(text, file).get('services');
  if (!isMap(services)) return [];
  return services.items.flatMap(({ key, value }) => {
    const volumes = isMap(value) ? value.get('volumes', true) : undefined;
    if (!isSeq(volumes)) return [];
    const service = isScalar(key) ? String(key.value) : String(key);
    return volumes.items.flatMap((item) => {
      if (isScalar(item) && typeof item.value === 'string') return shortBind(service, item as Scalar<string>, text) ?? [];
      return isMap(item) ? (longBind(service, item as YAMLMap, text) ?? []) : [];
    });
  });
}

/** What Compose takes for options of any volume; others (`rshared`, say) are of bind mounts alone. */
const volumeModes = new Set(['ro', 'rw', 'z', 'Z', 'nocopy', 'cached', 'delegated', 'consistent']);

function shortBind(service: string, scalar: Scalar<string>, text: string): Found | undefined {
  const [from = '', path, modes = '', ...more] = scalar.value
    .replace(/\$\{[^}]*\}/g, (variable) => variable.replaceAll(':', '\0'))
    .split(':');
  if (path === undefined || !/^[./~$]/.test(from)) return undefined;
  const source = from.replaceAll('\0', ':');
  const names = modes.split(',').filter((mode) => mode !== '');
  const [start, end] = rangeOf(scalar);
  const written = text.slice(start, end);
  const at = written.indexOf(source);
  const odd = names.find((mode) => !volumeModes.has(mode));
  const hindrance =
    more.length > 0 || at < 0
      ? 'it is written in a way that cannot be edited safely'
      : odd === undefined
        ? undefined
        : `its option ${odd} is of bind mounts alone`;
  return {
    entry: { service, from: source, path, readOnly: names.includes('ro'), hindrance },
    edits: (volume) => [{ start: start + at, end: start + at + source.length, text: volume }],
  };
}

function longBind(service: string, map: YAMLMap, text: string): Found | undefined {
  const [type, source, target] = ['type', 'source', 'target'].map((name) => map.get(name, true));
  if (!isText(type) || type.value !== 'bind' || !isText(source) || !isText(target)) return undefined;
  // Options of the bind mount itself (propagation, SELinux) have no meaning for a volume.
  const options = map.get('bind');
  const hindrance = options === undefined || options === null ? undefined : 'it has options under `bind`, which only bind mounts have';
  const replace = (scalar: Scalar, replacement: string): Edit => {
    const [start, end] = rangeOf(scalar);
    const quote = /^["']/.exec(text.slice(start, end))?.[0] ?? '';
    return { start, end, text: `${quote}${replacement}${quote}` };
  };
  return {
    entry: { service, from: source.value, path: target.value, readOnly: map.get('read_only') === true, hindrance },
    edits: (volume) => [replace(type, 'volume'), replace(source, volume)],
  };
}

const isText = (node: unknown): node is Scalar<string> => isScalar(node) && typeof node.value === 'string';

function rangeOf({ range }: Scalar): [number, number] {
  if (!range) throw new HoldfastError('internal', 'a parsed value has no place');
  return [range[0], range[1]];
}

/** Lines for the top-level `volumes`, in the layout that it has. */
function declarations(text: string, file: string, keys: readonly string[]): Edit[] {
  const root = parse(text, file);
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === 'volumes') as Pair<Scalar, unknown> | undefined;
  const known = isMap(pair?.value) ? (pair.value as YAMLMap) : undefined;
  const added = keys.filter((key) => known?.has(key) !== true);
  if (added.length === 0) return [];
  if (pair === undefined) {
    const gap = text === '' || text.endsWith('\n') ? '' : '\n';
    return [{ start: text.length, end: text.length, text: `${gap}\nvolumes:\n${added.map((key) => `  ${key}:\n`).join('')}` }];
  }
  if (known?.flow === true) {
    const start = (known.range?.[0] ?? 0) + 1;
    const more = known.items.length > 0 ? ', ' : '';
    return [{ start, end: start, text: `${added.map((key) => `${key}: {}`).join(', ')}${more}` }];
  }
  const first = known?.items[0]?.key;
  if (isScalar(first) && first.range) {
    const start = text.lastIndexOf('\n', first.range[0] - 1) + 1;
    const indent = text.slice(start, first.range[0]);
    if (/^[ ]+$/.test(indent)) return [{ start, end: start, text: added.map((key) => `${indent}${key}:\n`).join('') }];
  }
  const isNothing = pair.value === null || (isScalar(pair.value) && pair.value.value === null);
  if (!isNothing)
    throw new HoldfastError('configuration', `${file}: its \`volumes\` are written in a way that cannot be edited safely`, { file });
  const lineEnd = text.indexOf('\n', rangeOf(pair.key)[1]);
  const start = lineEnd < 0 ? text.length : lineEnd + 1;
  return [{ start, end: start, text: `${lineEnd < 0 ? '\n' : ''}${added.map((key) => `  ${key}:\n`).join('')}` }];
}
