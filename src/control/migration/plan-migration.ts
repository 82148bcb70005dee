/** Which bind mounts of a compose project become which named volumes, and which stay, and why. Pure. */
import { isAbsolute, relative } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { BindEntry } from '../discovery/bind-mounts.ts';

/** A bind mount, and what is at its place on the host. */
export type HostBind = {
  /** The compose file that it stands in. */
  file: string;
  entry: BindEntry;
  /** Absolute, variables replaced, symlinks followed. */
  directory: string;
  kind: 'directory' | 'missing' | 'other';
};

export type MigrationUse = { file: string; service: string; from: string; path: string };
export type MigratedVolume = { key: string; engineVolume: string; directory: string; uses: MigrationUse[] };
export type StayingBind = { service: string; from: string; path: string; reason: string };
export type MigrationPlan = { volumes: MigratedVolume[]; staying: StayingBind[] };

export type MigrationRequest = {
  /** Of Compose. */
  project: string;
  /** The folder of the compose files. */
  folder: string;
  binds: readonly HostBind[];
  /** Undefined for all. */
  services: readonly string[] | undefined;
  /** Keys of volumes in the compose files, and the engine's names: none of them is taken again. */
  takenKeys: readonly string[];
  takenVolumes: readonly string[];
};

const ofSystem = /^\/($|(proc|sys|dev|run|etc|boot|usr|bin|lib|var\/run|var\/lib\/docker)(\/|$))/;

/**
 * A directory that several services mount becomes one volume, for all of them.
 * @throws `usage` for services that have no bind mounts.
 */
export function planMigration(request: MigrationRequest): MigrationPlan {
  const { binds, services } = request;
  const unknown = services?.find((name) => !binds.some(({ entry }) => entry.service === name));
  if (unknown !== undefined) throw new HoldfastError('usage', `service ${unknown} has no bind mounts in the compose file`);
  const staying: StayingBind[] = [];
  const byDirectory = new Map<string, HostBind[]>();
  for (const bind of binds) byDirectory.set(bind.directory, [...(byDirectory.get(bind.directory) ?? []), bind]);
  const volumes: MigratedVolume[] = [];
  const taken = new Set([...request.takenKeys, ...request.takenVolumes]);
  for (const [directory, group] of byDirectory) {
    const wanted = services === undefined || group.some(({ entry }) => services.includes(entry.service));
    const reason = wanted ? reasonToStay(request, directory, group, [...byDirectory.keys()]) : undefined;
    if (!wanted) continue;
    if (reason !== undefined) {
      for (const { entry } of group) staying.push({ service: entry.service, from: entry.from, path: entry.path, reason });
      continue;
    }
    const key = keyFor(directory, group, (candidate) => taken.has(candidate) || taken.has(`${request.project}_${candidate}`));
    taken.add(key);
    const uses = group.map(({ file, entry: { service, from, path } }) => ({ file, service, from, path }));
    volumes.push({ key, engineVolume: `${request.project}_${key}`, directory, uses });
  }
  return { volumes, staying };
}

function reasonToStay(
  { folder }: MigrationRequest,
  directory: string,
  group: readonly HostBind[],
  all: readonly string[],
): string | undefined {
  const hindered = group.find(({ entry }) => entry.hindrance !== undefined);
  if (hindered !== undefined) return hindered.entry.hindrance;
  if (group.some(({ kind }) => kind === 'missing')) return 'it is not there';
  if (group.some(({ kind }) => kind === 'other')) return 'it is no directory: volumes hold directories only';
  if (ofSystem.test(directory)) return 'it is a part of the system';
  if (isWithin(directory, folder)) return 'it holds the compose file: it is the project itself';
  if (group.every(({ entry }) => entry.readOnly)) return 'it is mounted read-only everywhere: who changes it does so on the host';
  const other = all.find((path) => path !== directory && (isWithin(path, directory) || isWithin(directory, path)));
  return other === undefined ? undefined : `it overlaps with ${other}, which is mounted too`;
}

/** Whether `path` is `folder` or in it, seen from the folder above. */
function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (!way.startsWith('..') && !isAbsolute(way));
}

function keyFor(directory: string, [first]: readonly HostBind[], isTaken: (key: string) => boolean): string {
  const base =
    directory
      .split('/')
      .at(-1)
      ?.toLowerCase()
      .replace(/[^a-z0-9_.-]/g, '-')
      .replace(/^[^a-z0-9]+/, '') || 'data';
  const candidates = [base, `${first?.entry.service}-${base}`];
  for (let number = 2; ; number++) {
    const free = candidates.find((candidate) => !isTaken(candidate));
    if (free !== undefined) return free;
    candidates.push(`${base}-${number}`);
  }
}
