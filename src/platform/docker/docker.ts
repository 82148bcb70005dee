/** Volumes of a Docker Engine: found by name or by Compose's labels, read in the best way there is. */
import { HoldfastError } from '../../model/errors.ts';
import type { Inventory, LocatedVolume, MountedBy, Platform, PlatformVolume, VolumeContent, VolumeReference } from '../platform.ts';
import { readArchive } from './archive.ts';
import type { DockerEngine } from './engine.ts';
import { createHelper, helperPath, removeLeftHelpers } from './helper.ts';
import { readInventory } from './inventory.ts';
import { elsewhere, inContainer, localDirectoryOf, onHost, type PathMap } from './local-directory.ts';
import { findOwn, ownContainerId } from './own-container.ts';
import { isPodman, podmanArchives } from './podman.ts';

export type DockerPlatform = Platform & {
  /** All volumes and containers; read once for the life of the platform. @throws as `DockerEngine.call`. */
  inventory(): Promise<Inventory>;
  /** The directory at which this process reaches a volume, and can be sure that it is that volume. */
  directoryOf(volume: PlatformVolume): Promise<string | undefined>;
};

export type DockerPlatformOptions = {
  engine: DockerEngine;
  /** This machine's (or container's) host name and kernel, as Node's `os` says. */
  host: { name: string; kernel: string };
  /** This process's user; by default it is asked for. */
  uid?: number | undefined;
  /** Ways of reading that may be used; all by default. */
  ways?: readonly VolumeContent['way'][];
  /** Image of helper containers; by default an empty one of Holdfast's own. */
  helperImage?: string;
};

export function createDockerPlatform(options: DockerPlatformOptions): DockerPlatform {
  const { engine, ways = ['directory', 'helper', 'container'], uid = process.geteuid?.() } = options;
  let inventory: Promise<Inventory> | undefined;
  let paths: Promise<PathMap> | undefined;
  let podman: Promise<boolean> | undefined;

  const readOnce = () => (inventory ??= readInventory(engine));
  const pathsOnce = () => (paths ??= pathMap(options, readOnce));
  const podmanOnce = () => (podman ??= isPodman(engine));
  const directoryOf = async (volume: PlatformVolume) => localDirectoryOf(volume, await pathsOnce());

  async function find(reference: VolumeReference): Promise<PlatformVolume> {
    const { volumes } = await readOnce();
    const found = volumeOf(volumes, reference);
    if (found !== undefined) return found;
    const { name, project, source } = reference;
    const looked = source.kind === 'docker' ? source.volume : `${project}_${name}`;
    throw new HoldfastError('volume-missing', `volume ${name}: there is no Docker volume ${looked} at ${engine.location}`, {
      volume: name,
      remedy: 'run `docker volume ls`, and give the volume a source in holdfast.yaml: source: {docker: NAME}',
    });
  }

  return {
    inventory: readOnce,
    directoryOf,

    async locate(reference): Promise<LocatedVolume> {
      const volume = await find(reference);
      const directory = await directoryOf(volume);
      if (directory !== undefined) return { name: reference.name, directory, exists: true };
      throw new HoldfastError('volume-unreadable', `volume ${reference.name}: this process cannot reach the directory of ${volume.name}`, {
        volume: reference.name,
        remedy: 'run Holdfast as root on the host of the Engine, or in a container with the volumes mounted',
      });
    },

    async open(reference): Promise<VolumeContent> {
      const volume = await find(reference);
      const directory = ways.includes('directory') ? await directoryOf(volume) : undefined;
      // Who isn't root and gets at the directory has a rootless engine, in whose volumes files belong to users that are not this one.
      const whole = uid === 0 || (await pathsOnce()) !== onHost;
      if (directory !== undefined && (whole || (await podmanOnce()))) return { way: 'directory', directory };
      if (await podmanOnce()) throw podmanArchives(volume.name);
      let refusal: unknown;
      if (ways.includes('helper')) {
        try {
          return await throughHelper(engine, volume, options.helperImage);
        } catch (error) {
          // Who may only read the Engine's API (a proxy of its socket) can still read what a container has mounted.
          refusal = error;
        }
      }
      if (directory !== undefined) return { way: 'directory', directory };
      const user = ways.includes('container') ? bestUser(volume.users) : undefined;
      if (user !== undefined) return throughContainer(engine, volume, user);
      throw (
        refusal ??
        new HoldfastError('volume-unreadable', `volume ${reference.name}: there is no way to read ${volume.name}`, {
          volume: reference.name,
        })
      );
    },
  };
}

/** By its own name, or by that which Compose gave it; a volume with a `name:` of its own has the labels all the same. */
function volumeOf(volumes: readonly PlatformVolume[], { name, project, source }: VolumeReference): PlatformVolume | undefined {
  if (source.kind === 'docker') return volumes.find((volume) => volume.name === source.volume);
  if (source.kind !== 'by-name') return undefined;
  return (
    volumes.find((volume) => volume.project === project && volume.key === name) ??
    volumes.find((volume) => volume.name === `${project}_${name}`)
  );
}

async function pathMap({ engine, host }: DockerPlatformOptions, inventory: () => Promise<Inventory>): Promise<PathMap> {
  const { containers, volumes } = await inventory();
  const own = findOwn(containers, await ownContainerId(host.name));
  if (own !== undefined) {
    const mountPoints = volumes.flatMap(({ name, mountPoint }) => (mountPoint === undefined ? [] : [[name, mountPoint] as const]));
    return inContainer(own, new Map(mountPoints));
  }
  if (!engine.socket) return elsewhere;
  // A socket may lead to a virtual machine, or through ssh to another host, where the same path is another directory.
  const info = (await engine.call('ask the Engine for its host', () => engine.docker.info())) as {
    Name?: string;
    KernelVersion?: string;
    host?: { hostname?: string; kernel?: string };
  };
  return info.Name === host.name && info.KernelVersion === host.kernel ? onHost : elsewhere;
}

async function throughHelper(engine: DockerEngine, volume: PlatformVolume, image: string | undefined): Promise<VolumeContent> {
  await removeLeftHelpers(engine).catch(() => undefined);
  const helper = await createHelper(engine, volume.name, image);
  return {
    way: 'helper',
    directory: volume.mountPoint ?? volume.name,
    through: `a helper container with ${volume.name}`,
    read: (signal) => readArchive(engine, helper.id, helperPath, signal),
    mountedInside: [],
    close: helper.remove,
  };
}

function throughContainer(engine: DockerEngine, volume: PlatformVolume, { container, path }: MountedBy): VolumeContent {
  return {
    way: 'container',
    directory: volume.mountPoint ?? volume.name,
    through: `container ${container.name}, which has ${volume.name} at ${path}`,
    read: (signal) => readArchive(engine, container.id, path, signal),
    mountedInside: insideOf(container.mounts, path),
    close: async () => undefined,
  };
}

/** One in which nothing else is mounted inside, if there is one. */
function bestUser(users: readonly MountedBy[]): MountedBy | undefined {
  const usable = users.filter(({ container }) => container.state !== 'removing' && container.state !== 'dead');
  return usable.find(({ container, path }) => insideOf(container.mounts, path).length === 0) ?? usable[0];
}

const insideOf = (mounts: readonly { path: string }[], path: string): string[] =>
  mounts.filter((mount) => mount.path.startsWith(`${path}/`)).map((mount) => mount.path.slice(path.length + 1));
