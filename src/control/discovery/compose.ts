import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { HoldfastError } from '../../model/errors.ts';
import type { KnownApp } from '../configuration/configuration.ts';
import { mistakesError } from '../configuration/mistakes.ts';
import { parseSource } from '../configuration/yaml-document.ts';
import { composeFileNames, overrideFileNames } from './compose-files.ts';
import { composeProjectName, type DiscoveredProject, type DiscoveredVolume, type NotCovered } from './discovered.ts';
import { interpolate } from './interpolation.ts';

const enabledLabel = 'holdfast.enabled';
/** Those of hooks are of containers. */
const volumeLabel = /^holdfast\.(?!hook\.)/;

type Variables = Record<string, string | undefined>;
type Mapping = Record<string, unknown>;
const mapping = (value: unknown): Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

/** A service as far as it matters here: later files replace what is mounted at the same path. */
type Service = { image: string | undefined; mounts: Map<string, Mount>; labels: Map<string, string> };
type Mount = { kind: 'volume'; name: string } | { kind: 'bind'; from: string } | { kind: 'anonymous' };

/**
 * Reads the compose project of a folder: its named volumes, where they are mounted, and what no named volume holds. Undefined
 * when there is no compose file. `environment` is the process's, which wins over the folder's `.env`. `COMPOSE_FILE`, profiles,
 * `include` and `extends` are not followed; the last two are remarked upon.
 * @throws `configuration` when a compose file is not YAML or cannot be read.
 */
export async function discoverCompose(directory: string, environment: Variables = process.env): Promise<DiscoveredProject | undefined> {
  const folder = resolve(directory);
  const main = await firstFile(folder, composeFileNames);
  if (main === undefined) return undefined;
  const override = await firstFile(folder, overrideFileNames);
  const files = override === undefined ? [main] : [main, override];
  const dotEnv = await readOptional(resolve(folder, '.env'));
  const variables = { ...(dotEnv === undefined ? {} : parseEnv(dotEnv)), ...environment };
  const reader = new ComposeReader(variables);
  for (const file of files) reader.add(file.path, file.text);
  return reader.result(
    folder,
    files.map((file) => file.path),
  );
}

async function firstFile(folder: string, names: readonly string[]): Promise<{ path: string; text: string } | undefined> {
  for (const name of names) {
    const path = resolve(folder, name);
    const text = await readOptional(path);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const remedy = 'check that it is a file that you may read';
    throw new HoldfastError('configuration', `${path} cannot be read: ${(cause as Error).message}`, { file: path, cause, remedy });
  }
}

/** Gathers what the compose files of one project say, the later ones over the earlier. */
class ComposeReader {
  readonly #variables: Variables;
  readonly #services = new Map<string, Service>();
  readonly #volumes = new Map<string, Mapping>();
  readonly #remarks = new Set<string>();
  #name: string | undefined;

  constructor(variables: Variables) {
    this.#variables = variables;
  }

  add(file: string, text: string): void {
    const document = parseSource(text, { mergeKeys: true });
    // Tags such as `!reset` are Compose's own, and no reason to stop.
    if (document.value === undefined && document.mistakes.length > 0) throw mistakesError(file, document.mistakes, document.position);
    const root = mapping(document.value);
    this.#name = this.#text(root.name) ?? this.#name;
    if (root.include !== undefined) this.#remarks.add('`include` is not followed: volumes of included files are not in the list');
    for (const [name, value] of Object.entries(mapping(root.volumes))) {
      this.#volumes.set(name, { ...this.#volumes.get(name), ...mapping(value) });
    }
    for (const [name, value] of Object.entries(mapping(root.services))) this.#addService(name, mapping(value));
  }

  #addService(name: string, value: Mapping): void {
    const service = this.#services.get(name) ?? { image: undefined, mounts: new Map<string, Mount>(), labels: new Map<string, string>() };
    this.#services.set(name, service);
    service.image = this.#text(value.image) ?? service.image;
    for (const [label, said] of this.#labels(value.labels)) service.labels.set(label, said);
    if (mapping(value.extends).file !== undefined) {
      this.#remarks.add(`service ${name} extends one of another file, which is not followed: its volumes may not be in the list`);
    }
    for (const entry of Array.isArray(value.volumes) ? value.volumes : []) {
      const mount = typeof entry === 'string' ? shortMount(this.#text(entry) as string) : this.#longMount(mapping(entry));
      if (mount !== undefined) service.mounts.set(mount.path, mount.mount);
    }
  }

  #longMount(entry: Mapping): { path: string; mount: Mount } | undefined {
    const path = this.#text(entry.target);
    const from = this.#text(entry.source);
    if (path === undefined) return undefined;
    if (entry.type === 'bind' && from !== undefined) return { path, mount: { kind: 'bind', from } };
    if (entry.type !== 'volume') return undefined;
    return { path, mount: from === undefined || from === '' ? { kind: 'anonymous' } : { kind: 'volume', name: from } };
  }

  /** Text with its variables replaced; undefined for what is not text. */
  #text(value: unknown): string | undefined {
    if (typeof value !== 'string') return undefined;
    return interpolate(value, this.#variables, (name) =>
      this.#remarks.add(`the variable ${name}, which the compose file uses, is not set here`),
    );
  }

  result(directory: string, files: string[]): DiscoveredProject {
    const given = this.#variables.COMPOSE_PROJECT_NAME || this.#name || basename(directory);
    const project = composeProjectName(given) || 'project';
    const volumes = new Map([...this.#volumes].map(([name, value]) => [name, this.#volume(name, value)]));
    const notCovered: NotCovered[] = [];
    const labels = new Map([...this.#volumes].map(([name, value]) => [name, this.#labels(value.labels)]));
    const ofServices = new Map<string, Map<string, string>>();
    for (const [service, { image, mounts, labels: ofService }] of this.#services) {
      for (const [path, mount] of mounts) {
        if (mount.kind === 'volume') {
          const volume = volumes.get(mount.name) ?? this.#volume(mount.name, {});
          volumes.set(mount.name, volume);
          volume.mounts.push({ service, path });
          volume.app ??= appOf(image, path);
          ofServices.set(mount.name, new Map([...(ofServices.get(mount.name) ?? []), ...ofService]));
        } else if (mount.kind === 'anonymous') notCovered.push({ kind: 'anonymous', service, path });
        // A socket holds no data.
        else if (!mount.from.endsWith('.sock')) notCovered.push({ kind: 'bind', service, from: mount.from, path });
      }
    }
    // A volume's own labels go before those of its containers.
    const isEnabled = (name: string) => (labels.get(name)?.get(enabledLabel) ?? ofServices.get(name)?.get(enabledLabel)) !== 'false';
    const inMemory = [...volumes.keys()].filter((name) => this.#isInMemory(name));
    for (const name of inMemory) this.#remarks.add(`volume ${name} is in memory (tmpfs): it is gone with its last container, and left out`);
    const isLabelled = (name: string) =>
      [...(labels.get(name)?.keys() ?? []), ...(ofServices.get(name)?.keys() ?? [])].some((label) => volumeLabel.test(label));
    for (const [name, volume] of volumes) if (isLabelled(name)) volume.labelled = true;
    const disabled = [...volumes.keys()].filter((name) => !isEnabled(name) && !inMemory.includes(name));
    for (const name of disabled) this.#remarks.add(`volume ${name} is left out, as its label ${enabledLabel}=false says`);
    for (const name of [...inMemory, ...disabled]) volumes.delete(name);
    return { directory, project, files, volumes: [...volumes.values()], notCovered, remarks: [...this.#remarks] };
  }

  /** A mapping, or a list of `LABEL=VALUE`. */
  #labels(value: unknown): Map<string, string> {
    const given = Array.isArray(value)
      ? value.map((item) => (this.#text(item) ?? '').split(/=(.*)/s))
      : Object.entries(mapping(value)).map(([label, said]) => [label, this.#text(said) ?? String(said)]);
    return new Map(given.map(([label, said]) => [label ?? '', (said ?? '').trim()]));
  }

  /** As `docker volume create --driver local --opt type=tmpfs` makes it. */
  #isInMemory(name: string): boolean {
    const { driver = 'local', driver_opts: options } = this.#volumes.get(name) ?? {};
    return driver === 'local' && this.#text(mapping(options).type) === 'tmpfs';
  }

  #volume(name: string, value: Mapping): DiscoveredVolume {
    const external = value.external === true || typeof value.external === 'object';
    const ownName = this.#text(value.name) ?? this.#text(mapping(value.external).name) ?? (external ? name : undefined);
    return { name, mounts: [], app: undefined, source: ownName === undefined ? undefined : { docker: ownName } };
  }
}

/** `[SOURCE:]TARGET[:MODE]`: a source with a path's first character is a bind mount, any other a volume. */
function shortMount(text: string): { path: string; mount: Mount } {
  const parts = text.split(':');
  const [from, path] = parts;
  if (path === undefined) return { path: text, mount: { kind: 'anonymous' } };
  // `/data:ro` has no source, but a mode.
  if (parts.length === 2 && !path.startsWith('/')) return { path: from as string, mount: { kind: 'anonymous' } };
  if (from === undefined || from === '') return { path, mount: { kind: 'anonymous' } };
  return { path, mount: /^[./~]/.test(from) ? { kind: 'bind', from } : { kind: 'volume', name: from } };
}

/** Images by the last part of their name, and where they keep their data. */
const apps: { image: RegExp; path: RegExp; app: KnownApp }[] = [
  { image: /^redis(-stack(-server)?)?$/, path: /^\/(data|bitnami)/, app: 'redis' },
  { image: /^(postgres|postgresql|postgis|pgvector|timescaledb)$/, path: /^\/(var\/lib\/postgresql|bitnami)/, app: 'postgres' },
  { image: /^mysql(-server)?$/, path: /^\/(var\/lib\/mysql|bitnami)/, app: 'mysql' },
  { image: /^mariadb$/, path: /^\/(var\/lib\/mysql|bitnami)/, app: 'mariadb' },
  { image: /^mongo(db|db-community-server)?$/, path: /^\/(data\/db|bitnami)/, app: 'mongo' },
];

function appOf(image: string | undefined, path: string): KnownApp | undefined {
  const name = image
    ?.split('/')
    .at(-1)
    ?.replace(/[:@].*$/, '');
  return name === undefined ? undefined : apps.find((app) => app.image.test(name) && app.path.test(path))?.app;
}
