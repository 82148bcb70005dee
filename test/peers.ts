/**
 * The programs that tests compare with and lean on, and scratch folders. On a laptop a missing peer skips the test and says how
 * to get it; in CI (`CI=true`) it is a failure, so that nothing goes untested unnoticed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Each program and the Debian package that holds it. */
const packages = {
  restic: 'restic',
  rsync: 'rsync',
  getfattr: 'attr',
  setfattr: 'attr',
  getfacl: 'acl',
  setfacl: 'acl',
  getcap: 'libcap2-bin',
  setcap: 'libcap2-bin',
  'mkfs.ext4': 'e2fsprogs',
  git: 'git',
  zstd: 'zstd',
  xz: 'xz-utils',
  bzip2: 'bzip2',
  age: 'age',
  'age-keygen': 'age',
  bsdtar: 'libarchive-tools',
  strace: 'strace',
  'redis-server': 'redis-server',
  rclone: 'rclone',
  openssl: 'openssl',
  ceph: 'ceph-common',
  'ceph-authtool': 'ceph-common',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  monmaptool: 'ceph-base',
  radosgw: 'radosgw',
  'radosgw-admin': 'radosgw',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  sshd: 'openssh-server',
  setpriv: 'util-linux',
  dockerd: 'docker.io',
  docker: 'docker.io',
  'docker-compose': 'docker-compose',
  podman: 'podman',
  busybox: 'busybox-static',
  psql: 'postgresql',
  mariadbd: 'mariadb-server-core',
  mariadb: 'mariadb-client-core',
  'mariadb-dump': 'mariadb-client',
} as const;

export type PeerName = keyof typeof packages;
export type Restic = { name: 'stock' | 'newest'; path: string; version: string };

const root = join(import.meta.dirname, '..');
/** Where administrators' programs are, also when they are not in an ordinary user's PATH. */
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

const newestPeer = (name: string): string => join(root, '.cache', 'peers', 'usr', 'bin', name);

/** Path of a program, or undefined when it is not installed. */
export function peer(name: PeerName): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''), ...systemFolders];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * Path of a program; undefined when it is missing, and the test is then marked as skipped: return from it.
 * @throws when it is missing in CI.
 */
export function requirePeer(t: TestContext, name: PeerName): string | undefined {
  const path = peer(name);
  if (path === undefined) missing(t, `${name} is not installed; get it with: apt-get install ${packages[name]}`);
  return path;
}

/**
 * The restic versions at hand: the distribution's, and the newest, which is $HOLDFAST_RESTIC or what scripts/newest-peers.sh has put
 * into .cache/peers.
 */
export function resticVersions(): Restic[] {
  const newest = process.env.HOLDFAST_RESTIC ?? newestPeer('restic');
  const found: Restic[] = [];
  const stock = peer('restic');
  if (stock !== undefined) found.push({ name: 'stock', path: stock, version: versionOf(stock) });
  if (isExecutable(newest)) found.push({ name: 'newest', path: newest, version: versionOf(newest) });
  return found;
}

/**
 * The restic of a name; undefined when it is missing, and the test is then marked as skipped: return from it.
 * @throws when it is missing in CI.
 */
export function requireRestic(t: TestContext, name: Restic['name']): Restic | undefined {
  const restic = resticVersions().find((version) => version.name === name);
  if (restic === undefined) {
    const way = name === 'stock' ? 'apt-get install restic' : 'scripts/newest-peers.sh .cache/peers (or set HOLDFAST_RESTIC)';
    missing(t, `${name} restic is not at hand; get it with: ${way}`);
  }
  return restic;
}

/**
 * Path of Compose 2 or newer (Debian's own is version 1 up to bookworm); undefined when it is missing, and the test is then marked as skipped:
 * return from it.
 * @throws when it is missing in CI.
 */
export function requireNewestCompose(t: TestContext): string | undefined {
  const path = newestPeer('docker-compose');
  if (isExecutable(path)) return path;
  missing(t, 'a newer docker-compose is not at hand; get it with: scripts/newest-peers.sh .cache/peers');
  return undefined;
}

/** Path of Prometheus's promtool; undefined when it is missing, and the test is then marked as skipped: return from it. @throws when it is missing in CI. */
export function requirePromtool(t: TestContext): string | undefined {
  const path = [newestPeer('promtool'), '/usr/bin/promtool'].find(isExecutable);
  if (path === undefined) missing(t, 'promtool is not at hand; get it with: apt-get install prometheus');
  return path;
}

/**
 * Whether this process is root. When it is not, the test is marked as skipped, in CI too, which runs once as root and once as an
 * ordinary user: return from it.
 */
export function requireRoot(t: TestContext): boolean {
  if (process.getuid?.() === 0) return true;
  t.skip('needs root');
  return false;
}

/** The opposite of {@link requireRoot}: for what root is never refused. */
export function requireOrdinaryUser(t: TestContext): boolean {
  if (process.getuid?.() !== 0) return true;
  t.skip('needs an ordinary user');
  return false;
}

/** An empty folder below the system's temporary folder that goes away with the test, whatever it holds by then. */
export function scratch(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'));
  t.after(() => removeTree(folder));
  return folder;
}

/** Not fs.rm, which fails on names that are not UTF-8, on paths longer than PATH_MAX, and on folders without permissions. */
function removeTree(folder: string): void {
  if (process.getuid?.() !== 0) spawnSync('chmod', ['-R', 'u+rwX', folder], { stdio: 'ignore' });
  execFileSync('rm', ['-rf', folder]);
}

function missing(t: TestContext, reason: string): void {
  if (process.env.CI === 'true') throw new Error(reason);
  t.skip(reason);
}

function versionOf(restic: string): string {
  const text = execFileSync(restic, ['version'], { encoding: 'utf8' });
  const version = /^restic (\d+\.\d+\.\d+)/.exec(text)?.[1];
  if (version === undefined) throw new Error(`${restic} does not say its version: ${text}`);
  return version;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
