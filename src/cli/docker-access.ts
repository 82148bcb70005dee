/** The Docker Engine of this run, for commands that change what runs in it. */
import { HoldfastError } from '../model/errors.ts';
import type { Containers } from '../platform/containers.ts';
import type { VolumeWriter } from '../platform/docker/volume-writer.ts';
import type { PlatformVolume } from '../platform/platform.ts';
import type { VolumeKeeper } from '../platform/volume-keeper.ts';
import type { CommandContext } from './command.ts';
import { createPlatforms } from './platforms.ts';

export type DockerAccess = {
  containers: Containers;
  volumes: VolumeKeeper;
  /** Tells Engines apart, by whatever address they are reached: the host's name, the Engine's own id, and the folder of its data. */
  identity(): Promise<string>;
  /**
   * The directory at which this process reaches a volume, whether or not a container uses it. Undefined when there is none: the Engine is
   * elsewhere, or the volume is mounted only while a container uses it.
   */
  directoryOf(volume: PlatformVolume): Promise<string | undefined>;
  /** Reads and writes a volume without a directory; one for each volume, until `close`. @throws `engine`, `engine-unreachable`, `engine-denied`. */
  writerOf(engineVolume: string): Promise<VolumeWriter>;
  /** Lets a volume go that was opened, so that it can be removed. Harmless when it was not. */
  closeWriterOf(engineVolume: string): Promise<void>;
  /** Removes what was made for that, and ends connections. */
  close(): Promise<void>;
};

/** How a volume is reached: as a directory, or through the Engine. */
export type Reached = { directory: string; stream?: undefined } | { directory?: undefined; stream: VolumeWriter };

/** The directory of a volume where there is one, else its writer. @throws as `writerOf`. */
export async function reach(access: DockerAccess, volume: PlatformVolume): Promise<Reached> {
  const directory = await access.directoryOf(volume);
  return directory === undefined ? { stream: await access.writerOf(volume.name) } : { directory };
}

/**
 * @param need `required`, or `if-there`: a host without an Engine is none then, unless the user has named one.
 * @throws `engine-unreachable`, `engine-denied`, `usage`.
 */
export async function connectDocker(
  context: Pick<CommandContext<unknown>, 'environment' | 'global'>,
  need: 'required' | 'if-there',
): Promise<DockerAccess | undefined> {
  const platforms = createPlatforms(context, undefined);
  const connected = await platforms.docker();
  if (connected === undefined) {
    if (need === 'required') throw new HoldfastError('engine-unreachable', 'there is no Docker Engine here');
    return undefined;
  }
  const [{ createDockerContainers }, { createDockerVolumeKeeper }, { isMountedOnDemand }] = await Promise.all([
    import('../platform/docker/containers.ts'),
    import('../platform/docker/volume-keeper.ts'),
    import('../platform/mounted-on-demand.ts'),
  ]);
  const { engine, platform } = connected;
  const writers = new Map<string, Promise<VolumeWriter>>();
  let identity: Promise<string> | undefined;
  const askIdentity = async () => {
    const { Name: name, ID: id, DockerRootDir: root } = await engine.call('ask the Engine who it is', () => engine.docker.info());
    // Ids repeat: on copied machines, and for two Engines of one host. Podman has none.
    return [name, id || engine.location, root].join(' ');
  };
  return {
    identity: () => (identity ??= askIdentity()),
    containers: createDockerContainers(engine),
    volumes: createDockerVolumeKeeper(engine),
    // Once its containers are stopped, what is there is no longer the volume.
    directoryOf: async (volume) => (isMountedOnDemand(volume) ? undefined : platform.directoryOf(volume)),
    async writerOf(engineVolume) {
      const { openVolumeWriter } = await import('../platform/docker/volume-writer.ts');
      const opening = writers.get(engineVolume) ?? openVolumeWriter(engine, engineVolume);
      writers.set(engineVolume, opening);
      return opening;
    },
    async closeWriterOf(engineVolume) {
      const opened = writers.get(engineVolume);
      writers.delete(engineVolume);
      await (await opened)?.close();
    },
    async close() {
      // What stays is removed by the next run.
      await Promise.allSettled([...writers.values()].map(async (writer) => (await writer).close()));
      platforms.close();
    },
  };
}
