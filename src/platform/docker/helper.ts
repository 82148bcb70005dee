/**
 * A container that is made only to be read: the volume mounted read-only, never started, so that it needs no program. Its image is Holdfast's
 * own, which is empty, or one that the user names.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { Readable } from 'node:stream';
import { HoldfastError } from '../../model/errors.ts';
import { type DockerEngine, isNotFound } from './engine.ts';
import { helperLabel } from './helper-label.ts';
import { isPodman, podmanArchives } from './podman.ts';

/** Where the volume is in a helper: at a path that no image has, lest the Engine copy an image's files into an empty volume. */
export const helperPath = '/holdfast-volume';

const helperImage = 'holdfast-helper:1';

export type Helper = { id: string; remove(): Promise<void> };

/**
 * @param image one that the Engine has; by default an empty one is made, once.
 * @throws `volume-unreadable` at Podman's service; `engine` and so on, when the container cannot be made.
 */
export async function createHelper(engine: DockerEngine, volume: string, image?: string): Promise<Helper> {
  const { docker } = engine;
  if (await isPodman(engine)) throw podmanArchives(volume);
  const options = {
    Image: image ?? (await requireImage(engine)),
    // Nothing is ever run.
    Entrypoint: ['/holdfast'],
    Cmd: [],
    Labels: { [helperLabel]: await ownMark() },
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      Mounts: [
        {
          Type: 'volume' as const,
          Source: volume,
          Target: helperPath,
          ReadOnly: true,
          VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
        },
      ],
    },
  };
  const container = await engine.call(`make a helper container for volume ${volume}`, (abortSignal) =>
    docker.createContainer({ ...options, abortSignal }),
  );
  let removed: Promise<void> | undefined;
  return {
    id: container.id,
    remove: () => (removed ??= removeContainer(engine, container.id)),
  };
}

/** Removes helpers that runs of this host have left behind because they were killed. What cannot be removed stays; it is harmless. */
export async function removeLeftHelpers(engine: DockerEngine): Promise<void> {
  const { docker } = engine;
  const list = { all: true, filters: { label: [helperLabel] } };
  const found = await engine.call('list helper containers', (abortSignal) => docker.listContainers({ ...list, abortSignal }));
  for (const { Id: id, Labels: labels } of found) {
    if (await isLeft(labels[helperLabel] ?? '')) await removeContainer(engine, id).catch(() => undefined);
  }
}

async function removeContainer(engine: DockerEngine, id: string): Promise<void> {
  try {
    // With the anonymous volumes that the image may have asked for; named ones stay.
    await engine.call('remove a helper container', (abortSignal) =>
      engine.docker.getContainer(id).remove({ v: true, force: true, abortSignal }),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function requireImage(engine: DockerEngine): Promise<string> {
  const { docker } = engine;
  try {
    await engine.call('look for the helper image', () => docker.getImage(helperImage).inspect());
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const changes = `LABEL ${helperLabel}=image`;
    const stream = await engine.call('make the helper image', () =>
      docker.importImage(Readable.from([Buffer.alloc(1024)]) as never, { repo: helperImage, changes }),
    );
    await drain(stream);
  }
  return helperImage;
}

/** The Engine tells of failures in the stream of its answer. */
async function drain(stream: NodeJS.ReadableStream): Promise<void> {
  let answer = '';
  for await (const piece of stream) answer = (answer + String(piece)).slice(-4000);
  const error = /"error":"([^"]*)"/.exec(answer)?.[1];
  if (error !== undefined) throw new HoldfastError('engine', `cannot make the helper image: the Docker Engine says: ${error}`);
}

/** Host, process, and when it started, so that another process of the same number isn't taken for it. */
async function ownMark(): Promise<string> {
  return `${hostname()}/${process.pid}/${(await startOf(process.pid)) ?? ''}`;
}

async function isLeft(mark: string): Promise<boolean> {
  const [host, pid, start] = mark.split('/');
  return host === hostname() && (await startOf(Number(pid))) !== (start || undefined);
}

/** In ticks since the boot; undefined when there is no such process. Source: proc(5), /proc/pid/stat, field 22. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}
