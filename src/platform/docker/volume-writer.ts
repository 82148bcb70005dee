/**
 * Writes a volume whose directory this process cannot reach: through the Engine's archive API, into a container that has the volume mounted and is
 * never started. The Engine unpacks the archive itself, so that no program is needed there; what the API has no call for (removing) is done by
 * entries that it refuses after it has made room for them, and looked at afterwards.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { StreamTarget } from '../../engine/restore/stream-target.ts';
import type { TarEntry } from '../../engine/source/tar-entry.ts';
import { readTar } from '../../engine/source/tar-read.ts';
import { tarBytes } from '../../engine/source/tar-write.ts';
import { HoldfastError } from '../../model/errors.ts';
import { displayRaw, type RawString, rawFromText, textFromRaw } from '../../model/raw-bytes.ts';
import { isMountedOnDemand } from '../mounted-on-demand.ts';
import { readArchive } from './archive.ts';
import { type DockerEngine, isNotFound } from './engine.ts';
import { createHelper, helperPath, removeLeftHelpers } from './helper.ts';

/** An Engine that takes nothing for so long is given up; it may have to write to a slow disk or network file system. */
const silenceMs = 300_000;
/** The longest that a timer can wait: writing ends by silence. */
const noTimeoutMs = 2 ** 31 - 1;

/** The mount point's name in the container's root: entries are unpacked there, so that the first can be the volume's root itself. */
const mountName = rawFromText(helperPath.slice(1));

export type VolumeWriter = StreamTarget & {
  /** Removes the helpers. Harmless when called twice. */
  close(): Promise<void>;
};

/** @throws as `createHelper`. */
export async function openVolumeWriter(engine: DockerEngine, volume: string): Promise<VolumeWriter> {
  await removeLeftHelpers(engine).catch(() => undefined);
  const reader = await createHelper(engine, volume);
  let id: string;
  try {
    id = await createWriter(engine, volume, reader.id);
  } catch (error) {
    await reader.remove();
    throw error;
  }
  let closed: Promise<void> | undefined;
  const close = async () => {
    await Promise.allSettled([reader.remove(), removeContainer(engine, id)]);
  };
  const keepsAcls = await isKeepingAcls(engine, volume).catch(() => false);
  return { ...writerOf(engine, { volume, reader: reader.id, writer: id, keepsAcls }), close: () => (closed ??= close()) };
}

/** A helper like that for reading, with the volume mounted to be written. */
async function createWriter(engine: DockerEngine, volume: string, like: string): Promise<string> {
  const { docker } = engine;
  const { Config: config } = await engine.call('inspect a helper container', (abortSignal) =>
    docker.getContainer(like).inspect({ abortSignal }),
  );
  const mount = {
    Type: 'volume' as const,
    Source: volume,
    Target: helperPath,
    ReadOnly: false,
    VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
  };
  const options = {
    ...{ Image: config.Image, Labels: config.Labels, Entrypoint: ['/holdfast'], Cmd: [], NetworkDisabled: true },
    HostConfig: { NetworkMode: 'none', Mounts: [mount] },
  };
  const made = await engine.call(`make a helper container that writes volume ${volume}`, (abortSignal) =>
    docker.createContainer({ ...options, abortSignal }),
  );
  return made.id;
}

async function removeContainer(engine: DockerEngine, id: string): Promise<void> {
  try {
    await engine.call('remove a helper container', (abortSignal) =>
      engine.docker.getContainer(id).remove({ v: true, force: true, abortSignal }),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** File systems that keep POSIX ACLs unless somebody has turned that off, as Engines call them (`docker info`). */
const fileSystemsWithAcls: readonly unknown[] = ['extfs', 'xfs', 'btrfs'];

/** An ordinary volume lies beside the Engine's images, of whose file system it tells. Old Engines go on in silence where an ACL is refused. */
async function isKeepingAcls(engine: DockerEngine, volume: string): Promise<boolean> {
  const { docker } = engine;
  const { Driver: driver, Options: options } = await engine.call('inspect a volume', (abortSignal) =>
    docker.getVolume(volume).inspect({ abortSignal }),
  );
  if (isMountedOnDemand({ driver, driverOptions: options ?? {} })) return false;
  const { DriverStatus: status } = (await engine.call('ask the Engine for its file system', () => docker.info())) as {
    DriverStatus?: [string, unknown][] | null;
  };
  return (status ?? []).some(([name, value]) => name === 'Backing Filesystem' && fileSystemsWithAcls.includes(value));
}

type Helpers = { volume: string; reader: string; writer: string; keepsAcls: boolean };

function writerOf(engine: DockerEngine, { volume, reader, writer, keepsAcls }: Helpers): StreamTarget {
  const through = `a helper container with ${volume}`;
  const put = (entries: AsyncIterable<TarEntry>, signal?: AbortSignal) =>
    putArchive(engine, { container: writer, volume, entries, signal });
  const read = (signal: AbortSignal) => readArchive(engine, reader, helperPath, signal);
  const kindOf = (path: RawString) => statKind(engine, writer, path);
  const isEmpty = async (signal: AbortSignal) => {
    for await (const { path } of readTar(await read(signal))) if (!/^(\.\/?)?(lost\+found(\/.*)?)?$/.test(path)) return false;
    return true;
  };

  async function remove(path: RawString): Promise<void> {
    const gone = () => (path === '' ? isEmpty(new AbortController().signal) : kindOf(path).then((kind) => kind === undefined));
    if (path !== '' && (await gone())) return;
    let refusal: unknown;
    try {
      await put(only(entryThatFails(path)));
    } catch (error) {
      // So it is meant: whether what was there has gone says whether all is well.
      if (!(error instanceof HoldfastError && (error.code === 'engine' || error.code === 'target-unwritable'))) throw error;
      refusal = error;
    }
    if (await gone()) return;
    const what = path === '' ? `volume ${volume} could not be emptied` : `${displayRaw(path)} could not be removed from volume ${volume}`;
    throw new HoldfastError('target-unwritable', `${what} through a helper container`, { volume, cause: refusal });
  }

  return { through, keepsAcls, write: put, read, kindOf, isEmpty, remove };
}

type Put = { container: string; volume: string; entries: AsyncIterable<TarEntry>; signal: AbortSignal | undefined };

async function putArchive(engine: DockerEngine, { container, volume, entries, signal }: Put): Promise<void> {
  const given = new AbortController();
  let thrown: { error: unknown } | undefined;
  let silent = false;
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    timer = setTimeout(() => {
      silent = true;
      given.abort();
    }, silenceMs);
  };
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of tarBytes(placed(entries), { aclsAsAttributes: true })) {
        watch();
        yield piece;
        clearTimeout(timer);
      }
      watch();
    } catch (error) {
      // A request that is broken off leaves the Engine with an archive that is cut, which it refuses.
      thrown = { error };
      given.abort();
    }
  }
  const body = Readable.from(watched(), { objectMode: false });
  body.on('error', () => given.abort());
  const both = signal === undefined ? given.signal : AbortSignal.any([signal, given.signal]);
  try {
    await engine.call(
      `write volume ${volume}`,
      (abortSignal) => engine.docker.getContainer(container).putArchive(body as never, { path: '/', abortSignal } as never),
      { timeoutMs: noTimeoutMs, signal: both },
    );
  } catch (error) {
    if (thrown !== undefined) throw thrown.error;
    if (silent)
      throw new HoldfastError('engine-unreachable', `the Docker Engine at ${engine.location} took nothing for ${silenceMs / 1000} s`);
    throw ofTarget(error, volume);
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

async function* placed(entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
  for await (const entry of entries) {
    const path = below(entry.path);
    yield entry.type === 'link' ? { ...entry, path, target: below(entry.target) } : { ...entry, path };
  }
}

const below = (path: RawString): RawString => (path === '' ? mountName : `${mountName}/${path}`) as RawString;

/** The Engine's words say what kept it from writing. */
function ofTarget(error: unknown, volume: string): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'engine') return error;
  const full = /no space left|disk quota exceeded/i.test(error.message);
  return new HoldfastError(full ? 'target-full' : 'target-unwritable', error.message, { volume, cause: error.cause });
}

/**
 * Before an Engine unpacks an entry that is no directory, it removes what is in its place, however large; then this one cannot be made: of '', as the
 * volume is mounted there, and of any other, as it is another name of nothing. (moby's `pkg/archive`, `Unpack` and `createTarFile`.)
 */
function entryThatFails(path: RawString): TarEntry {
  const metadata = { path, mode: 0o600, uid: 0, gid: 0, user: '', group: '', mtimeSec: 0, mtimeNsec: 0, attributes: [] };
  if (path !== '') return { ...metadata, type: 'link', target: `.holdfast-nothing-${randomBytes(6).toString('hex')}` as RawString };
  return { ...metadata, type: 'file', sizeBytes: 0, content: (async function* () {})() };
}

async function* only(entry: TarEntry): AsyncGenerator<TarEntry> {
  yield entry;
}

/** Of Go's `fs.FileMode`, in which the Engine tells what is at a path. */
const goDirectory = 2 ** 31;

async function statKind(engine: DockerEngine, container: string, path: RawString): Promise<'dir' | 'other' | undefined> {
  const text = textFromRaw(path);
  if (text === undefined) {
    throw new HoldfastError(
      'unsupported',
      `${displayRaw(path)}: the Engine is asked for a path by its name in UTF-8, which this one is not`,
    );
  }
  try {
    const answer = (await engine.call('look into a volume', (abortSignal) =>
      engine.docker.getContainer(container).infoArchive({ path: `${helperPath}/${text}`, abortSignal } as never),
    )) as unknown as { headers: Record<string, string>; resume?: () => void };
    answer.resume?.();
    const { mode } = JSON.parse(Buffer.from(answer.headers['x-docker-container-path-stat'] ?? '', 'base64').toString());
    return mode >= goDirectory ? 'dir' : 'other';
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
