/** The connection of an `sftp:` storage: an `ssh` that is started when it is first needed, and anew after it has ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HoldfastError } from '../model/errors.ts';
import { rememberLines } from './last-lines.ts';
import { SftpClient } from './sftp-client.ts';
import { lostConnection, notStarted } from './sftp-failures.ts';
import type { SftpSettings } from './sftp-settings.ts';

/** A child whose input is closed ends by itself; one that does not by then is ended. */
const patienceMs = 3_000;
/** How long a connection that has ended waits for the child to say why. */
const lastWordsMs = 1_000;

export type SftpConnection = {
  /** A client whose connection stands, as far as is known. @throws `storage`, `storage-denied`, `unsupported`. */
  client(): Promise<SftpClient>;
  close(): Promise<void>;
};

type Running = { client: SftpClient; end(): Promise<void> };

export function sftpConnection(settings: SftpSettings): SftpConnection {
  let running: Promise<Running> | undefined;
  /** Children that have been given up, until they have ended. */
  const ending = new Set<Promise<void>>();

  async function giveUp(started: Running): Promise<void> {
    const over = started.end().finally(() => ending.delete(over));
    ending.add(over);
    await over;
  }

  return {
    async client() {
      for (;;) {
        running ??= start(settings);
        const current = running;
        const started = await current.catch((error: unknown) => {
          if (running === current) running = undefined;
          throw error;
        });
        if (!started.client.over) return started.client;
        if (running === current) {
          running = undefined;
          void giveUp(started);
        }
      }
    },

    async close() {
      const last = await running?.catch(() => undefined);
      running = undefined;
      if (last !== undefined) void giveUp(last);
      await Promise.all(ending);
    },
  };
}

async function start(settings: SftpSettings): Promise<Running> {
  const { program, args, location, trial, idleTimeoutMs } = settings;
  // A session of its own: Ctrl-C in the terminal is for us, who still need the connection to end soundly. When we end, however we do, its
  // input ends, and so does it.
  const child = spawn(program, args, { stdio: 'pipe', detached: true, env: withoutPasswords(process.env) });
  const said = rememberLines(child.stderr, []);
  const failed = new Promise<HoldfastError>((resolve) => {
    child.once('error', (error) => resolve(notStarted(program, error)));
  });
  const ended = endOf(child);

  let greeted = false;
  const lost = async (cause: Error | undefined): Promise<HoldfastError> => {
    // A child that ends by itself says more than the end of its output; one that we give up on has nothing to say.
    if (cause !== undefined) child.kill();
    const enough = new AbortController();
    const waited = sleep(lastWordsMs, undefined, { signal: enough.signal }).catch(() => undefined);
    const first = await Promise.race([failed, ended, waited]);
    enough.abort();
    if (first instanceof Error) return first;
    return lostConnection({ program, location, trial, greeted, status: first, said: said(), cause });
  };

  const holdOpen = holderOf(child);
  const client = new SftpClient({ input: child.stdin, output: child.stdout, idleTimeoutMs, onBusy: holdOpen, onOver: lost });
  const end = async (): Promise<void> => {
    holdOpen(true);
    child.stdin.end();
    const impatient = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    await Promise.race([ended, failed]);
    clearTimeout(impatient);
    holdOpen(false);
  };
  try {
    await client.greet();
    greeted = true;
  } catch (error) {
    await end();
    throw error;
  }
  return { client, end };
}

/** The exit code or signal, when all was read. What the child has started may hold its standard error open for longer: not waited for. */
function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      const destroyAll = () => {
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      };
      const overdue = setTimeout(destroyAll, lastWordsMs / 2);
      child.once('close', () => {
        clearTimeout(overdue);
        resolve(code ?? signal ?? 'unknown');
      });
    });
  });
}

/** A child that has nothing to do does not keep this process alive. */
function holderOf(child: ChildProcess): (busy: boolean) => void {
  const all = [child, child.stdin, child.stdout, child.stderr] as (ChildProcess | ((Writable | Readable) & Socket))[];
  const hold = (busy: boolean) => {
    for (const one of all) busy ? one.ref() : one.unref();
  };
  hold(false);
  return hold;
}

/** The child has no business with the repository's password. */
const withoutPasswords = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(HOLDFAST|RESTIC)_/.test(name)));
