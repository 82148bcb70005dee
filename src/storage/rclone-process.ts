/**
 * The transport of `rclone:` storages: HTTP/2 over the standard input and output of a child process that serves restic's REST
 * protocol there (`rclone serve restic --stdio`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { HoldfastError } from '../model/errors.ts';
import { rememberLines } from './last-lines.ts';
import { socketPair } from './rclone-socket.ts';
import type { RestRequest, RestResponse, RestTransport } from './rest-transport.ts';

/** HTTP/2's windows, wide: there is no network to protect, and each update costs a switch between processes. */
const streamWindowBytes = 4 * 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;
/** A child whose input is closed ends by itself; one that does not by then is ended. */
const patienceMs = 10_000;
/** How long a failed request waits for the child to say why: it may be about to end. */
const lastWordsMs = 1_000;

export type ProcessOptions = {
  program: string;
  args: readonly string[];
  /** What the child gets besides this process's own environment. May hold secrets. */
  environment: Readonly<Record<string, string>>;
  /** For messages; without secrets. */
  location: string;
  /** What must not appear in messages, though the child may print it. */
  secrets: readonly string[];
};

type Running = {
  session: ClientHttp2Session;
  /** Resolves when the child has ended, with what it said. */
  ended: Promise<HoldfastError>;
  /** Keeps this process alive for a request; a child that has nothing to do does not. @returns what ends that. */
  hold(): () => void;
};

/** Nothing is started before the first request; a child that ended is started anew by the next. */
export function processTransport(options: ProcessOptions): RestTransport {
  let running: Promise<Running> | undefined;
  /** Children that have been given up, until they have ended. */
  const ending = new Set<Promise<unknown>>();

  async function startAnew(): Promise<Running> {
    const started = await start(options);
    const over = started.ended.finally(() => ending.delete(over));
    ending.add(over);
    return started;
  }

  async function use(): Promise<Running> {
    running ??= startAnew();
    const started = running;
    try {
      const { session } = await started;
      if (!session.closed && !session.destroyed) return await started;
    } catch (error) {
      if (running === started) running = undefined;
      throw error;
    }
    if (running === started) running = undefined;
    return use();
  }

  return {
    async request(request): Promise<RestResponse> {
      const { session, ended, hold } = await use();
      const release = hold();
      const explain = async (error: unknown) => (session.destroyed ? await lastWords(ended) : undefined) ?? error;
      try {
        const response = await send(session, request);
        const cancel = () => {
          response.cancel();
          release();
        };
        return { ...response, body: explained(response.body, explain), cancel };
      } catch (error) {
        const reason = await explain(error);
        release();
        throw reason;
      }
    },

    async close() {
      const last = await running?.catch(() => undefined);
      running = undefined;
      last?.hold();
      last?.session.destroy();
      await Promise.all(ending);
    },
  };
}

async function start({ program, args, environment, location, secrets }: ProcessOptions): Promise<Running> {
  const [ours, theirs] = await socketPair();
  // A session of its own: Ctrl-C in the terminal is for us, who still need the child to end soundly. When we end, however we do, its
  // input ends, and so does it.
  const env = { ...withoutPasswords(process.env), ...environment };
  const child = spawn(program, args, { stdio: [theirs, theirs, 'pipe'], detached: true, env });
  theirs.destroy();
  const lastLines = rememberLines(child.stderr as Readable, secrets);
  const session = connect('http://localhost', {
    createConnection: () => ours,
    settings: { enablePush: false, initialWindowSize: streamWindowBytes },
  });
  session.on('connect', () => session.setLocalWindowSize(connectionWindowBytes));
  // Requests say what went wrong.
  session.on('error', () => undefined);
  session.on('goaway', () => session.destroy());
  let over = false;
  session.on('close', () => {
    if (over) return;
    const impatient = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    child.once('close', () => clearTimeout(impatient));
  });
  const ended = new Promise<HoldfastError>((resolve) => {
    child.once('error', (cause) => resolve(notStarted(program, cause)));
    child.once('close', (code, signal) => resolve(endedEarly(program, location, code ?? signal, lastLines())));
  });
  void ended.then(() => {
    over = true;
    session.destroy();
  });
  return { session, ended, hold: holderOf(child, ours) };
}

function holderOf(child: ChildProcess, socket: Socket): () => () => void {
  const stderr = child.stderr as Socket;
  const all = [child, socket, stderr];
  let holders = 0;
  for (const one of all) one.unref();
  return () => {
    if (++holders === 1) for (const one of all) one.ref();
    let held = true;
    return () => {
      if (held && --holders === 0) for (const one of all) one.unref();
      held = false;
    };
  };
}

function send(session: ClientHttp2Session, { method, path, headers, body, signal }: RestRequest): Promise<RestResponse> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...headers, ':method': method, ':path': `/${path}` }, { endStream: body === undefined, signal });
    stream.on('error', reject);
    // Without an error, and without a response: the session has ended.
    stream.on('close', () => reject(new Error('the connection to the child process was closed')));
    stream.on('response', (received) => {
      resolve({
        status: Number(received[':status']),
        header: (name) => {
          const value = received[name];
          return Array.isArray(value) ? value[0] : value;
        },
        body: stream,
        cancel: () => {
          if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
        },
      });
    });
    if (body === undefined) return;
    sendBody(stream, body).catch((error: unknown) => {
      // The server must not wait for the rest, nor take what it has for all.
      stream.close(constants.NGHTTP2_CANCEL);
      reject(error);
    });
  });
}

async function sendBody(stream: Writable, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of body) {
    // The server has answered before it had all.
    if (stream.destroyed || stream.writableEnded) return;
    if (!stream.write(piece)) await roomIn(stream);
  }
  stream.end();
}

function roomIn(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const proceed = () => {
      stream.off('drain', proceed).off('close', proceed);
      resolve();
    };
    stream.on('drain', proceed).on('close', proceed);
  });
}

async function* explained(body: AsyncIterable<Uint8Array>, explain: (error: unknown) => Promise<unknown>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw await explain(error);
  }
}

/** What the child said, if it ends now. */
async function lastWords(ended: Promise<HoldfastError>): Promise<HoldfastError | undefined> {
  const enough = new AbortController();
  try {
    return await Promise.race([ended, sleep(lastWordsMs, undefined, { signal: enough.signal })]);
  } finally {
    enough.abort();
  }
}

/** The child has no business with the repository's password. */
const withoutPasswords = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(HOLDFAST|RESTIC)_/.test(name)));

/** Without the cause, which holds the arguments. */
function notStarted(program: string, { code, message }: NodeJS.ErrnoException): HoldfastError {
  const remedy = 'install rclone (on Debian: apt-get install rclone), or name it by the option program';
  if (code === 'ENOENT') return new HoldfastError('unsupported', `the program ${program} is not installed`, { remedy });
  return new HoldfastError('unsupported', `cannot start ${program}: ${message}`);
}

function endedEarly(program: string, location: string, status: number | string | null, lastLines: string): HoldfastError {
  const message = `${program} for ${location} ended (${status})${lastLines === '' ? '' : `: ${lastLines}`}`;
  // To try again does not help.
  if (/didn't find section in config file|unknown (shorthand )?(flag|command)/.test(lastLines))
    return new HoldfastError('usage', message, { remedy: 'correct the URL or the options; `rclone listremotes` tells the remotes' });
  return new HoldfastError('storage', message, { remedy: 'if this does not pass, try `rclone lsd` on the same remote' });
}
