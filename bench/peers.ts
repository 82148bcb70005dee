import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from './measure.ts';

export const peerNames = ['holdfast', 'restic-newest', 'restic-stock', 'borg', 'tar-zstd'] as const;
export type PeerName = (typeof peerNames)[number];

/** Where a peer works: the folder it saves, the repository it makes, and a scratch folder for its cache and settings. */
export type Place = { volume: string; repository: string; scratch: string };

/** A program that a user might pick for backups. All run with their default settings, on the local disk. */
export type Peer = {
  name: PeerName;
  version: string;
  /** Makes the repository; not measured. */
  init(place: Place): Command;
  backup(place: Place): Command;
  /** Restores the last backup into `target`, an empty directory. */
  restore(place: Place, target: string): Command;
  /** Writes the last backup to standard output, as a tar archive. */
  dump?(place: Place): Command;
  /** Reads and verifies everything that is stored. A peer without it only saves and restores whole archives. */
  check?(place: Place): Command;
  /** Forgets all backups but the last; not measured. */
  forget?(place: Place): Command;
  /** Removes everything that no backup needs, down to the last byte. */
  prune?(place: Place): Command;
  help(place: Place): Command;
  /** Where below `target` the restored volume is. Default: `target` itself. */
  restoredRoot?(target: string): string;
};

export type PeerSearch = {
  checkout: string;
  /** The newest restic, when the caller knows where it is. */
  restic?: string;
};

/** The peers of these names that this machine has, and why the others are missing. */
export function findPeers(names: readonly PeerName[], search: PeerSearch): { peers: Peer[]; missing: { name: PeerName; why: string }[] } {
  const peers: Peer[] = [];
  const missing: { name: PeerName; why: string }[] = [];
  for (const name of names) {
    const found = finders[name](search);
    if (typeof found === 'string') missing.push({ name, why: found });
    else peers.push(found);
  }
  return { peers, missing };
}

const finders: Record<PeerName, (search: PeerSearch) => Peer | string> = {
  holdfast: findHoldfast,
  'restic-newest': findNewestRestic,
  'restic-stock': () => {
    const version = versionOf('restic', ['version']);
    return version === undefined ? 'restic is not installed (Debian package `restic`)' : restic('restic-stock', 'restic', version);
  },
  borg: () => {
    const version = versionOf('borg', ['--version']);
    return version === undefined ? 'borg is not installed (Debian package `borgbackup`)' : borg(version);
  },
  'tar-zstd': () => {
    const version = versionOf('zstd', ['--version']);
    return version === undefined ? 'zstd is not installed (Debian package `zstd`)' : tarZstd(version);
  },
};

/** The first version number that the program tells, or undefined when there is no such program. */
function versionOf(program: string, args: readonly string[]): string | undefined {
  try {
    const said = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+(\.\d+)?/.exec(said)?.[0];
  } catch {
    return undefined;
  }
}

function findHoldfast({ checkout }: PeerSearch): Peer | string {
  const program = join(checkout, 'holdfast');
  if (!existsSync(program)) return 'there is no ./holdfast in this checkout';
  const version = versionOf(program, ['--version']);
  if (version === undefined) return './holdfast --version does not work';
  const at = (place: Place, ...args: string[]): Command => ({
    argv: [program, ...args],
    directory: place.scratch,
    environment: { HOLDFAST_CACHE_DIR: join(place.scratch, 'cache') },
  });
  return {
    name: 'holdfast',
    version,
    init: (place) => at(place, 'init', '--volume', `corpus=${place.volume}`, '--repository', place.repository),
    backup: (place) => at(place, 'backup', '--quiet'),
    restore: (place, target) => at(place, 'restore', 'corpus', '--at', 'latest', '--to', target, '--quiet'),
    dump: (place) => at(place, 'dump', 'corpus'),
    check: (place) => at(place, 'check', '--read-data', '--quiet'),
    // Backups by hand fall under no rule but their own; the newest stays all the same.
    forget: (place) => at(place, 'forget', '--keep-manual', '0s', '--quiet'),
    prune: (place) => at(place, 'prune', '--max-unused', '0', '--quiet'),
    help: (place) => at(place, '--help'),
    restoredRoot: (target) => (existsSync(join(target, 'corpus')) ? join(target, 'corpus') : target),
  };
}

function findNewestRestic({ checkout, restic: given }: PeerSearch): Peer | string {
  const chosen = given ?? process.env.HOLDFAST_RESTIC;
  const candidates =
    chosen === undefined ? [...globSync('.cache/peers/**/restic', { cwd: checkout })].map((path) => join(checkout, path)) : [chosen];
  const working = candidates
    .map((program) => ({ program, version: versionOf(program, ['version']) }))
    .filter((candidate): candidate is { program: string; version: string } => candidate.version !== undefined)
    .sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }));
  const newest = working[0];
  if (newest === undefined) return 'no restic in .cache/peers; name one with --restic or HOLDFAST_RESTIC';
  return restic('restic-newest', newest.program, newest.version);
}

function restic(name: PeerName, program: string, version: string): Peer {
  const at = (place: Place, directory: string, ...args: string[]): Command => ({
    argv: [program, ...args],
    directory,
    environment: { RESTIC_REPOSITORY: place.repository, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(place.scratch, 'cache') },
  });
  return {
    name,
    version,
    init: (place) => at(place, place.scratch, 'init', '--quiet', '--repository-version', '2'),
    // From inside the volume, so that the snapshot holds the volume and not the path to it.
    backup: (place) => at(place, place.volume, 'backup', '--quiet', '.'),
    restore: (place, target) => at(place, place.scratch, 'restore', 'latest', '--quiet', '--target', target),
    dump: (place) => at(place, place.scratch, 'dump', 'latest', '/'),
    check: (place) => at(place, place.scratch, 'check', '--quiet', '--read-data'),
    forget: (place) => at(place, place.scratch, 'forget', '--quiet', '--group-by', '', '--keep-last', '1'),
    prune: (place) => at(place, place.scratch, 'prune', '--quiet', '--max-unused', '0'),
    help: (place) => at(place, place.scratch, '--help'),
  };
}

function borg(version: string): Peer {
  const at = (place: Place, directory: string, ...args: string[]): Command => ({
    argv: ['borg', ...args],
    directory,
    environment: {
      BORG_REPO: place.repository,
      BORG_PASSPHRASE: 'bench',
      BORG_BASE_DIR: place.scratch,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
    },
  });
  return {
    name: 'borg',
    version,
    init: (place) => at(place, place.scratch, 'init', '--encryption', 'repokey-blake2'),
    backup: (place) => at(place, place.volume, 'create', '--compression', 'zstd,3', '::{utcnow:%Y%m%d%H%M%S%f}', '.'),
    restore: (place, target) => ({
      ...at(place, target),
      // Borg has no name for the last archive in `extract`.
      argv: ['sh', '-c', 'borg extract "::$(borg list --last 1 --short)"'],
    }),
    check: (place) => at(place, place.scratch, 'check', '--verify-data'),
    help: (place) => at(place, place.scratch, '--help'),
  };
}

/** Neither encrypts nor deduplicates; the floor that a first backup is held against. */
function tarZstd(version: string): Peer {
  const shell = (place: Place, script: string, ...args: string[]): Command => ({
    argv: ['bash', '-o', 'pipefail', '-c', script, 'bash', ...args],
    directory: place.scratch,
  });
  return {
    name: 'tar-zstd',
    version,
    init: (place) => shell(place, 'mkdir -p "$1"', place.repository),
    backup: (place) => shell(place, 'tar -C "$1" -cf - . | zstd -q -3 -T0 -f -o "$2/archive.tar.zst"', place.volume, place.repository),
    restore: (place, target) => shell(place, 'zstd -q -dc "$2/archive.tar.zst" | tar -C "$1" -xpf -', target, place.repository),
    help: (place) => shell(place, 'tar --help >/dev/null'),
  };
}
