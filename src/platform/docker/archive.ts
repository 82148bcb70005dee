/** The Engine's archive API: a directory of a container, running or not, as a tar stream. */

import { readTar } from '../../engine/source/tar-read.ts';
import { headersOf } from '../../engine/source/tar-write.ts';
import { HoldfastError } from '../../model/errors.ts';
import { rawFromText } from '../../model/raw-bytes.ts';
import type { DockerEngine } from './engine.ts';

/** An Engine that sends nothing for so long is given up; it may have to read a slow disk or network file system. */
const silenceMs = 300_000;

/**
 * Reads a directory: entries are named relative to it, with or without `./`, the first of them the directory itself, `./`.
 * @throws as `DockerEngine.call`; the iteration throws `engine-unreachable`, `interrupted` or the signal's reason.
 */
export async function readArchive(
  engine: DockerEngine,
  container: string,
  path: string,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const directory = path.replace(/\/+$/, '');
  // With the dot, the Engine follows a symlink, and names entries by themselves and not by the directory.
  const answer = await ask(engine, container, `${directory}/.`, signal);
  if (answer.headers?.['libpod-api-version'] === undefined) return pieces(engine, answer, signal);
  try {
    return withRoot(await podmanRoot(engine, container, directory, signal), pieces(engine, answer, signal));
  } catch (error) {
    answer.destroy();
    throw error;
  }
}

type Answer = NodeJS.ReadableStream & { destroy(): void; headers?: Record<string, string | undefined> };

async function ask(engine: DockerEngine, container: string, path: string, signal: AbortSignal): Promise<Answer> {
  const make = (abortSignal: AbortSignal) => engine.docker.getContainer(container).getArchive({ path, abortSignal } as never);
  return (await engine.call('read from a container', make, { timeoutMs: silenceMs, signal })) as unknown as Answer;
}

/** With the dot, Podman leaves out the directory itself; without it, that comes first. @returns it as the beginning of an archive. */
async function podmanRoot(engine: DockerEngine, container: string, directory: string, signal: AbortSignal): Promise<Uint8Array> {
  const answer = await ask(engine, container, directory, signal);
  try {
    for await (const entry of readTar(pieces(engine, answer, signal))) return headersOf({ ...entry, path: rawFromText('') });
  } finally {
    answer.destroy();
  }
  throw new HoldfastError('engine', `the Engine at ${engine.location} sent no archive of ${directory} in a container`);
}

async function* withRoot(root: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield root;
  yield* rest;
}

async function* pieces(engine: DockerEngine, stream: Answer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let silent = false;
  const giveUp = () => {
    silent = true;
    stream.destroy();
  };
  let timer = setTimeout(giveUp, silenceMs);
  const onAbort = () => stream.destroy();
  signal.addEventListener('abort', onAbort);
  try {
    for await (const piece of stream) {
      clearTimeout(timer);
      yield piece as unknown as Uint8Array;
      timer = setTimeout(giveUp, silenceMs);
    }
  } catch (cause) {
    if (signal.aborted)
      throw signal.reason instanceof HoldfastError ? signal.reason : new HoldfastError('interrupted', 'interrupted', { cause });
    const why = silent ? `sent nothing for ${silenceMs / 1000} s` : 'has broken off';
    throw new HoldfastError('engine-unreachable', `the Docker Engine at ${engine.location} ${why} in the middle of a volume`, { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}
