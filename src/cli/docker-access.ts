/** The Docker Engine of this run, for commands that change what runs in it. */
import { HoldfastError } from '../model/errors.ts';
import type { Containers } from '../platform/containers.ts';
import type { PlatformVolume } from '../platform/platform.ts';
import type { VolumeKeeper } from '../platform/volume-keeper.ts';
import type { CommandContext } from './command.ts';
import { createPlatforms } from './platforms.ts';

export type DockerAccess = {
  containers: Containers;
  volumes: VolumeKeeper;
  /**
   * The directory at which this process reaches a volume, whether or not a container uses it.
   * @throws `volume-unreadable` when there is none: the Engine is elsewhere, or the volume is mounted only while a container uses it.
   */
  directoryOf(label: string, volume: PlatformVolume): Promise<string>;
  close(): void;
};

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
    import('../platform/docker/local-directory.ts'),
  ]);
  const { engine, platform } = connected;
  return {
    containers: createDockerContainers(engine),
    volumes: createDockerVolumeKeeper(engine),
    async directoryOf(label, volume) {
      // Once its containers are stopped, what is there is no longer the volume.
      const directory = isMountedOnDemand(volume) ? undefined : await platform.directoryOf(volume);
      if (directory !== undefined) return directory;
      const what = `the directory of the Docker volume ${volume.name} (driver ${volume.driver}) cannot be reached from here`;
      throw new HoldfastError('volume-unreadable', `volume ${label}: ${what}`, {
        volume: label,
        remedy: 'run as root on the host of the Engine; or restore to a directory with --to, and copy it in',
      });
    },
    close: () => platforms.close(),
  };
}
