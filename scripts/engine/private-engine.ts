/** A real Docker Engine of one's own: private socket, data and network, no registry. Only root can have one. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export type PrivateEngine = {
  socket: string;
  /** Where its volumes are: `DATA/volumes/NAME/_data`. */
  dataRoot: string;
  /** Runs the `docker` program against it. @returns its output, trimmed. @throws with what it said. */
  docker(...args: string[]): string;
  /** For programs that talk to it, such as compose. */
  environment: NodeJS.ProcessEnv;
  /** The directory of a volume. */
  directoryOf(volume: string): string;
  /** Ends it with all of its containers, and removes everything that it had. */
  stop(): Promise<void>;
};

const [startMs, stopMs] = [30_000, 20_000];

/**
 * @param programs paths of `dockerd` and `docker`.
 * @param more of the daemon's options.
 * @throws what the Engine said when it does not start.
 */
export async function startPrivateEngine(
  programs: { daemon: string; client: string },
  more: readonly string[] = [],
): Promise<PrivateEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-docker-'));
  const socket = join(folder, 'docker.sock');
  const dataRoot = join(folder, 'data');
  const log = join(folder, 'log');
  const child = spawn(
    'sh',
    [
      '-c',
      'exec "$0" "$@" >"$LOG" 2>&1',
      programs.daemon,
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--log-level=error'],
      ...['--data-root', dataRoot, '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid')],
      ...['--host', `unix://${socket}`, ...more],
    ],
    // A group of its own: Ctrl+C must leave it to us to end it.
    { stdio: 'ignore', detached: true, env: { ...process.env, LOG: log, DOCKER_HOST: '' } },
  );
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = () => stopEngine(programs.client, child.pid as number, ended, folder);
  const late = Date.now() + startMs;
  while (!(await answers(socket))) {
    if (child.exitCode !== null || Date.now() > late) {
      const said = existsSync(log) ? readFileSync(log, 'utf8') : '';
      await stop();
      throw new Error(`dockerd does not start: ${said}`);
    }
    await setTimeout(50);
  }
  const environment = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: folder, COMPOSE_PROJECT_NAME: undefined };
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(programs.client, args, { encoding: 'utf8', env: environment, timeout: 60_000 });
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  return { socket, dataRoot, docker, environment, directoryOf: (volume) => join(dataRoot, 'volumes', volume, '_data'), stop };
}

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
async function stopEngine(client: string, pid: number, ended: Promise<void>, folder: string): Promise<void> {
  const host = ['--host', `unix://${join(folder, 'docker.sock')}`];
  const list = spawnSync(client, [...host, 'ps', '--quiet'], { encoding: 'utf8', timeout: 10_000 });
  const ids = (list.stdout ?? '').split('\n').filter((id) => id !== '');
  if (ids.length > 0) spawnSync(client, [...host, 'rm', '--force', ...ids], { timeout: 30_000 });
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
