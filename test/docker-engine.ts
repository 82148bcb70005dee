/**
 * A real Docker Engine of the test's own: private socket, data and network, no registry. Its images are made of this machine's own Debian
 * packages, by `docker import`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { requirePeer, requireRoot } from './peers.ts';

export type TestEngine = {
  socket: string;
  /** Where its volumes are: `DATA/volumes/NAME/_data`. */
  dataRoot: string;
  /** Runs the `docker` program against it. @returns its output, trimmed. @throws with what it said. */
  docker(...args: string[]): string;
  /** The same with an environment and a folder, for compose. */
  environment: NodeJS.ProcessEnv;
  /** The directory of a volume. */
  directoryOf(volume: string): string;
};

/** Made of programs and their libraries; `image` runs nothing by itself. */
export type ImageName = 'busybox' | 'redis' | 'postgres';

const startMs = 30_000;
const stopMs = 20_000;

/**
 * Starts an Engine that ends with the tests of `t`; undefined when there can be none here, and the test is then marked as skipped: return from
 * it. Start one for a whole file, in a test that has subtests.
 */
export async function startDockerEngine(t: TestContext): Promise<TestEngine | undefined> {
  if (!requireRoot(t)) return undefined;
  const [daemon, client, busybox] = [requirePeer(t, 'dockerd'), requirePeer(t, 'docker'), requirePeer(t, 'busybox')];
  if (daemon === undefined || client === undefined || busybox === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-docker-'));
  const socket = join(folder, 'docker.sock');
  const dataRoot = join(folder, 'data');
  const log = join(folder, 'log');
  const child = spawn(
    'sh',
    [
      '-c',
      'exec "$0" "$@" >"$LOG" 2>&1',
      daemon,
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--log-level=error'],
      ...['--data-root', dataRoot, '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid')],
      ...['--host', `unix://${socket}`],
    ],
    // A group of its own: Ctrl+C at the tests must leave it to us to end it.
    { stdio: 'ignore', detached: true, env: { ...process.env, LOG: log, DOCKER_HOST: '' } },
  );
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  t.after(() => stop(child.pid as number, ended, folder));
  const environment = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: folder, COMPOSE_PROJECT_NAME: undefined };
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(client, args, { encoding: 'utf8', env: environment, timeout: 60_000 });
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  const late = Date.now() + startMs;
  while (!(await answers(socket))) {
    if (child.exitCode !== null || Date.now() > late)
      throw new Error(`dockerd does not start: ${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
    await setTimeout(50);
  }
  return { socket, dataRoot, docker, environment, directoryOf: (volume) => join(dataRoot, 'volumes', volume, '_data') };
}

/** Makes an image; harmless when it is there. */
export function importImage({ docker, socket }: TestEngine, name: ImageName): void {
  if (docker('images', '--quiet', `${name}:test`) !== '') return;
  const root = mkdtempSync(join(dirname(socket), 'image-'));
  for (const folder of ['tmp', 'etc', 'data', 'var/lib', 'run']) mkdirSync(join(root, folder), { recursive: true });
  execFileSync('chmod', ['1777', join(root, 'tmp')]);
  contents[name](root);
  const archive = join(dirname(socket), `${name}.tar`);
  execFileSync('tar', ['--numeric-owner', '-cf', archive, '-C', root, '.']);
  docker('import', '--change', 'ENV PATH=/bin:/usr/bin:/usr/sbin', archive, `${name}:test`);
  rmSync(archive);
  rmSync(root, { recursive: true });
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

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}

/** Containers that still run are killed by their shims' end: they are removed first. */
async function stop(pid: number, ended: Promise<void>, folder: string): Promise<void> {
  const socket = join(folder, 'docker.sock');
  const list = spawnSync('docker', ['--host', `unix://${socket}`, 'ps', '--quiet'], { encoding: 'utf8', timeout: 10_000 });
  const ids = (list.stdout ?? '').split('\n').filter((id) => id !== '');
  if (ids.length > 0) spawnSync('docker', ['--host', `unix://${socket}`, 'rm', '--force', ...ids], { timeout: 30_000 });
  try {
    process.kill(pid, 'SIGTERM');
    await Promise.race([ended, setTimeout(stopMs, undefined, { ref: false })]);
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
  await ended;
  spawnSync('sh', ['-c', `grep -o '${folder}[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`]);
  execFileSync('rm', ['-rf', folder]);
}
