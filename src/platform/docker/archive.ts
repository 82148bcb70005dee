/** The Engine's archive API: a directory of a container, running or not, as a tar stream. */

import { HoldfastError } from '../../model/errors.ts';
import type { DockerEngine } from './engine.ts';

/** An Engine that sends nothing for so long is given up; it may have to read a slow disk or network file system. */
const silenceMs = 300_000;

/**
 * Reads a directory: entries lie below `./`, the first of them the directory itself.
 * @throws as `DockerEngine.call`; the iteration throws `engine-unreachable`, `interrupted` or the signal's reason.
 */
export async function readArchive(
  engine: DockerEngine,
  container: string,
  path: string,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  // With the dot, the Engine follows a symlink, and names entries by themselves and not by the directory.
  const ask = (abortSignal: AbortSignal) =>
    engine.docker.getContainer(container).getArchive({ path: `${path.replace(/\/+$/, '')}/.`, abortSignal } as never);
  const stream = await engine.call('read from a container', ask, { timeoutMs: silenceMs, signal });
  return pieces(engine, stream as NodeJS.ReadableStream & { destroy(): void }, signal);
}

async function* pieces(
  engine: DockerEngine,
  stream: NodeJS.ReadableStream & { destroy(): void },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
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
