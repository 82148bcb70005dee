/** Programs that the demo uses where they are installed, and the children that must not outlive it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

type ProgramName = 'git' | 'redis-server' | 'rsync' | 'restic' | 'docker' | 'dockerd' | 'docker-compose' | 'busybox';

/** Path of a program, or undefined when it is neither in PATH nor in the other folders. */
export function findProgram(name: ProgramName, otherFolders: readonly string[] = []): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, ...otherFolders].map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Ends the child with the demo, however that ends. */
export function endWithDemo<Child extends ChildProcess>(child: Child): Child {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

export type Outcome = { exitCode: number | null; stdout: string; stderr: string; seconds: number };

/**
 * Runs a program to its end.
 * @param environment defaults to the demo's own, without what would point Holdfast or restic at somebody's real repository.
 */
export async function runProgram(file: string, args: readonly string[], cwd: string, environment = cleanEnvironment()): Promise<Outcome> {
  const startedMs = performance.now();
  const child = endWithDemo(spawn(file, args, { cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'] }));
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { exitCode, stdout: await stdout, stderr: await stderr, seconds: (performance.now() - startedMs) / 1000 };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC|RSYNC|GIT)_/.test(name)));
}
