/** The Docker Engine of the demo: the user's, or a private one; and programs that talk to it, none of which outlives the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startPrivateEngine } from '../../engine/private-engine.ts';
import { DemoFailure } from '../holdfast.ts';
import { findProgram } from '../programs.ts';

/** The user has had enough. */
class Interrupted extends Error {}

export type Ran = { exitCode: number | null; stdout: string; stderr: string; seconds: number };

export type Programs = {
  /** Runs a program to its end, whatever its exit code. @throws Interrupted. */
  run(file: string, args: readonly string[], options?: { cwd?: string }): Promise<Ran>;
  /** What they get from now on, too. */
  addToEnvironment(variables: NodeJS.ProcessEnv): void;
  /** Ends what runs. Nothing more is started, until `beginCleaning`. */
  interrupt(): void;
  /** From now on interruptions count for nothing. */
  beginCleaning(): void;
};

/** Programs get groups of their own: Ctrl+C reaches only the demo, which decides what ends, and cleans up in peace. */
export function createPrograms(environment: NodeJS.ProcessEnv): Programs {
  const running = new Set<ChildProcess>();
  let env = environment;
  let interrupted = false;
  let cleaning = false;
  const end = (signal: NodeJS.Signals) => {
    for (const { pid } of running) {
      try {
        if (pid !== undefined) process.kill(-pid, signal);
      } catch {
        // It has ended.
      }
    }
  };
  process.on('exit', () => end('SIGKILL'));
  const throwIfInterrupted = () => {
    if (interrupted && !cleaning) throw new Interrupted();
  };
  return {
    async run(file, args, { cwd = '/' } = {}) {
      throwIfInterrupted();
      const startedMs = performance.now();
      const child = spawn(file, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      running.add(child);
      try {
        const [[exitCode], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
        throwIfInterrupted();
        return { exitCode, stdout, stderr, seconds: (performance.now() - startedMs) / 1000 };
      } finally {
        running.delete(child);
      }
    },
    addToEnvironment(variables) {
      env = { ...env, ...variables };
    },
    interrupt() {
      interrupted = true;
      if (!cleaning) end('SIGTERM');
    },
    beginCleaning() {
      cleaning = true;
    },
  };
}

export type DemoEngine = {
  /** Which it is, for people. */
  name: string;
  /** Ends a private one with all that is in it; undefined for the user's. */
  stop: (() => Promise<void>) | undefined;
};

/** Administrators' programs are there, also when they are not in an ordinary user's PATH. */
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The Engine that answers, else a private one, which `programs` find from now on. @throws DemoFailure when there can be none. */
export async function findEngine(programs: Programs): Promise<DemoEngine> {
  const client = requireProgram('docker');
  const version = await programs.run(client, ['version', '--format', '{{.Server.Version}}']);
  if (version.exitCode === 0) return { name: `in the Docker Engine that answers (${version.stdout.trim()})`, stop: undefined };
  const daemon = findProgram('dockerd', systemFolders);
  if (process.getuid?.() !== 0 || daemon === undefined) {
    throw new DemoFailure(
      `no Docker Engine answers (${version.stderr.trim()}), and a private one needs root and dockerd (Debian: docker.io)`,
    );
  }
  const engine = await startPrivateEngine({ daemon, client });
  const { DOCKER_HOST, DOCKER_CONFIG } = engine.environment;
  programs.addToEnvironment({ DOCKER_HOST, DOCKER_CONFIG, DOCKER_CONTEXT: undefined, DOCKER_TLS_VERIFY: undefined });
  return { name: 'in a private Docker Engine, because none answers', stop: engine.stop };
}

/** @throws DemoFailure that names the package. */
export function requireProgram(name: 'docker' | 'redis-server' | 'busybox'): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  const packages = { docker: 'docker.io', 'redis-server': 'redis-server', busybox: 'busybox-static' };
  throw new DemoFailure(`the demo with Docker needs ${name} (Debian: ${packages[name]})`);
}

/** Compose, as a plugin of docker or as the program of old. @throws DemoFailure. */
export async function findCompose({ run }: Programs): Promise<string[]> {
  const docker = requireProgram('docker');
  if ((await run(docker, ['compose', 'version'])).exitCode === 0) return [docker, 'compose'];
  const program = findProgram('docker-compose');
  if (program !== undefined) return [program];
  throw new DemoFailure('the demo with Docker needs Compose (Debian: docker-compose)');
}

/** The environment without what would point Holdfast or Compose at somebody's real project; what Holdfast keeps goes to `scratch`. */
export function demoEnvironment(scratch: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC|COMPOSE)_/.test(name));
  return {
    ...Object.fromEntries(kept),
    PATH: [process.env.PATH, ...systemFolders].join(delimiter),
    HOLDFAST_STATE_DIR: join(scratch, 'state'),
    XDG_CACHE_HOME: join(scratch, 'cache'),
  };
}
