/** `holdfast up` on a test's own Docker Engine, as its user meets it: what it says on stderr, as text and lines of its log. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { type Document, holdfastProgram } from '../programs.ts';

export type SayingDaemon = {
  pid: number;
  /** All that it has said so far. */
  said(): string;
  /** Until it has said something that matches; fails when it ends before. */
  until(words: RegExp): Promise<void>;
  /** Asks it to end, or kills it; returns its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
};

/** Lines of its log among what a daemon has said. */
export const logOf = (said: string): Document[] =>
  said
    .split('\n')
    .filter((line) => line.startsWith('{"severity'))
    .map((line) => JSON.parse(line));

const inOwnNetwork: [string, ...string[]] = ['unshare', '--net', 'sh', '-c', 'busybox ip link set lo up && exec "$0" "$@"'];

/**
 * In a network of its own: the address of the API that a daemon without configuration takes may be taken on this machine.
 * @param environment beside this process's own.
 */
export function startUp(t: Pick<TestContext, 'after'>, folder: string, environment: Readonly<Record<string, string>>): SayingDaemon {
  const [program, ...words] = inOwnNetwork;
  const child = spawn(program, [...words, holdfastProgram, '--directory', folder, 'up'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  let said = '';
  let isOver = false;
  const watchers = new Set<() => void>();
  const look = () => {
    for (const watcher of watchers) watcher();
  };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes) => {
      said += bytes;
      look();
    });
  void ended.then(() => {
    isOver = true;
    look();
  });
  const end = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    return ended;
  };
  t.after(async () => {
    if (!isOver) await end('SIGKILL');
  });
  return {
    pid: child.pid as number,
    said: () => said,
    end,
    until: (words) =>
      new Promise((resolve, reject) => {
        const watcher = () => {
          const is = words.test(said);
          if (!is && !isOver) return;
          watchers.delete(watcher);
          if (is) resolve();
          else reject(new Error(`the daemon ended before it said ${words}: ${said}`));
        };
        watchers.add(watcher);
        watcher();
      }),
  };
}
