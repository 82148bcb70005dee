/** Images made of this machine's own programs, by `docker import`: nothing is pulled. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Made of programs and their libraries; an image runs nothing by itself. All have BusyBox, whose programs are in `/bin`. */
export type ImageName = 'busybox' | 'redis' | 'postgres' | 'mariadb';

/** What `docker import` is told of them. */
export const imageChanges = ['--change', 'ENV PATH=/bin:/usr/bin:/usr/sbin'];

/** Makes an archive for `docker import` in an existing folder. @returns its path. */
export function makeImageArchive(name: ImageName, folder: string): string {
  const root = mkdtempSync(join(folder, 'root-'));
  for (const made of ['tmp', 'etc', 'data', 'var/lib', 'run']) mkdirSync(join(root, made), { recursive: true });
  execFileSync('chmod', ['1777', join(root, 'tmp')]);
  contents[name](root);
  const archive = join(folder, `${name}.tar`);
  execFileSync('tar', ['--numeric-owner', '-cf', archive, '-C', root, '.']);
  rmSync(root, { recursive: true });
  return archive;
}

const contents: Record<ImageName, (root: string) => void> = {
  busybox: addBusybox,
  redis(root) {
    addBusybox(root);
    addPrograms(root, ...['server', 'cli', 'check-rdb', 'check-aof'].map((name) => `/usr/bin/redis-${name}`));
  },
  postgres(root) {
    addBusybox(root);
    const home = execFileSync('sh', ['-c', 'ls -d /usr/lib/postgresql/* | tail -1'], { encoding: 'utf8' }).trim();
    const names = ['postgres', 'initdb', 'pg_ctl', 'psql', 'pg_dump', 'pg_dumpall', 'pg_restore', 'pg_isready', 'pg_basebackup'];
    addPrograms(root, ...names.map((name) => join(home, 'bin', name)));
    for (const name of names) symlinkSync(join(home, 'bin', name), join(root, 'bin', name));
    addPrograms(root, join(home, 'lib', 'plpgsql.so'), join(home, 'lib', 'dict_snowball.so'));
    addFiles(root, home.replace('/usr/lib/', '/usr/share/'), '/usr/share/zoneinfo/UTC');
    // The server refuses to run as root.
    execFileSync('sh', ['-c', `printf 'root:x:0:0::/:/bin/sh\\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\\n' > ${root}/etc/passwd`]);
    execFileSync('sh', ['-c', `printf 'root:x:0:\\npostgres:x:70:\\n' > ${root}/etc/group`]);
    mkdirSync(join(root, 'var/lib/postgresql'), { recursive: true });
    mkdirSync(join(root, 'var/run/postgresql'), { recursive: true });
    execFileSync('chown', ['70:70', join(root, 'var/lib/postgresql'), join(root, 'var/run/postgresql')]);
  },
  mariadb(root) {
    addBusybox(root);
    addPrograms(root, '/usr/sbin/mariadbd', '/usr/bin/mariadb', '/usr/bin/mariadb-dump');
    addFiles(root, '/usr/share/mysql/english', '/usr/share/mysql/charsets');
    mkdirSync(join(root, 'run/mysqld'));
  },
};

function addBusybox(root: string): void {
  mkdirSync(join(root, 'bin'), { recursive: true });
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
  execFileSync('cp', ['-L', busybox, join(root, 'bin', 'busybox')]);
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
}

/** Programs with the libraries that they are linked to. */
function addPrograms(root: string, ...programs: string[]): void {
  const { stdout } = spawnSync('ldd', programs, { encoding: 'utf8' });
  const libraries = [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, library]) => library as string);
  addFiles(root, ...programs, ...new Set(libraries));
}

/** Files and folders of this machine, at their own paths; what symlinks lead to instead of them. */
const addFiles = (root: string, ...paths: string[]): void => void execFileSync('cp', ['-rL', '--parents', ...paths, root]);
