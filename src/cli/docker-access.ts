/** The Docker Engine of this run, for commands that change what runs in it. */
import { homedir } from 'node:os';
import { HoldfastError } from '../model/errors.ts';
import type { Containers } from '../platform/containers.ts';
import type { PlatformVolume } from '../platform/platform.ts';
import type { VolumeKeeper } from '../platform/volume-keeper.ts';
import type { CommandContext } from './command.ts';

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
 * Connects, and asks one question to know that somebody answers.
 * @param need `required`, or `if-there`: a host without an Engine is none then, unless the user has named one.
 * @throws `engine-unreachable`, `engine-denied`, `usage`.
 */
export async function connectDocker(
  { environment }: Pick<CommandContext<unknown>, 'environment'>,
  need: 'required' | 'if-there',
): Promise<DockerAccess | undefined> {
  // dockerode is large: loaded for who needs it.
  const [{ findEndpoint, isEndpointGiven }, { createDockerEngine }, { createDockerContainers }, { createDockerVolumeKeeper }, directories] =
    await Promise.all([
      import('../platform/docker/endpoint.ts'),
      import('../platform/docker/engine.ts'),
      import('../platform/docker/containers.ts'),
      import('../platform/docker/volume-keeper.ts'),
      import('../platform/docker/local-directory.ts'),
    ]);
  const options = { environment, home: environment.HOME || homeOfUser(), uid: process.getuid?.() };
  try {
    const engine = createDockerEngine(await findEndpoint(options));
    const containers = createDockerContainers(engine);
    await containers.inventory();
    const { localDirectoryOf, isMountedOnDemand, onHost, elsewhere } = directories;
    return {
      containers,
      volumes: createDockerVolumeKeeper(engine),
      async directoryOf(label, volume) {
        // Once its containers are stopped, what is there is no longer the volume.
        const directory = isMountedOnDemand(volume) ? undefined : await localDirectoryOf(volume, engine.socket ? onHost : elsewhere);
        if (directory !== undefined) return directory;
        const what = `the directory of the Docker volume ${volume.name} (driver ${volume.driver}) cannot be reached from here`;
        throw new HoldfastError('volume-unreadable', `volume ${label}: ${what}`, {
          volume: label,
          remedy: 'run as root on the host of the Engine; or restore to a directory with --to, and copy it in',
        });
      },
      close: () => engine.close(),
    };
  } catch (error) {
    const absent = error instanceof HoldfastError && error.code === 'engine-unreachable';
    if (absent && need === 'if-there' && !isEndpointGiven(options)) return undefined;
    throw error;
  }
}

/** Undefined for a user without an account, as in containers. */
function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
