/** All volumes and containers of an Engine, in two calls however many they are. */
import type Docker from 'dockerode';
import type { BindMount, ContainerMount, ContainerState, Inventory, PlatformContainer, PlatformVolume } from '../platform.ts';
import { dependsOn, projectOf, serviceOf, volumeKeyOf } from './compose-labels.ts';
import type { DockerEngine } from './engine.ts';
import { helperLabel } from './helper-label.ts';

/** @throws as `DockerEngine.call`. */
export async function readInventory(engine: DockerEngine, signal?: AbortSignal): Promise<Inventory> {
  const { docker } = engine;
  const [{ Volumes: volumes }, containers] = await Promise.all([
    engine.call('list the volumes', (abortSignal) => docker.listVolumes({ abortSignal }), { signal }),
    engine.call('list the containers', (abortSignal) => docker.listContainers({ all: true, abortSignal }), { signal }),
  ]);
  return inventoryOf(volumes ?? [], containers);
}

/** Volumes and containers by name. Containers that Holdfast made for reading are nobody's. */
function inventoryOf(volumeInfos: readonly Docker.VolumeInspectInfo[], containerInfos: readonly Docker.ContainerInfo[]): Inventory {
  const containers = containerInfos
    .filter(({ Labels: labels }) => labels?.[helperLabel] === undefined)
    .map(containerOf)
    .sort(byName);
  const volumes = volumeInfos.map(volumeOf).sort(byName);
  const byVolume = new Map(volumes.map((volume) => [volume.name, volume]));
  const binds = new Map<string, BindMount>();
  for (const container of containers) {
    for (const { kind, from, path, readOnly } of container.mounts) {
      const user = { container, path, readOnly };
      if (kind === 'volume') byVolume.get(from)?.users.push(user);
      else if (kind === 'bind' && holdsData(from)) {
        const bind = binds.get(from) ?? { from, users: [] };
        bind.users.push(user);
        binds.set(from, bind);
      }
    }
  }
  return { volumes, containers, bindMounts: [...binds.values()].sort((a, b) => (a.from < b.from ? -1 : 1)) };
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Not so sockets, and what the system makes or configures. */
const holdsData = (path: string): boolean =>
  !/\.sock$/.test(path) &&
  !/^\/(proc|sys|dev|run|var\/run|tmp\/\.X11-unix|etc\/(localtime|timezone|passwd|group|hosts|resolv\.conf|ssl))(\/|$)/.test(path);

function volumeOf(info: Docker.VolumeInspectInfo): PlatformVolume {
  const labels = info.Labels ?? {};
  const createdAt = (info as { CreatedAt?: string }).CreatedAt;
  return {
    name: info.Name,
    project: projectOf(labels),
    key: volumeKeyOf(labels),
    // Engines before 23 have no label for it.
    anonymous: 'com.docker.volume.anonymous' in labels || /^[0-9a-f]{64}$/.test(info.Name),
    driver: info.Driver,
    driverOptions: info.Options ?? {},
    labels,
    mountPoint: info.Mountpoint || undefined,
    createdAt: createdAt || undefined,
    users: [],
  };
}

const states: ReadonlySet<string> = new Set<ContainerState>(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']);

function containerOf(info: Docker.ContainerInfo): PlatformContainer {
  const labels = info.Labels ?? {};
  return {
    id: info.Id,
    // A container that others link to has more names, which contain slashes.
    name: (info.Names ?? []).map((name) => name.replace(/^\//, '')).find((name) => !name.includes('/')) ?? info.Id.slice(0, 12),
    image: info.Image,
    // Podman has more states; those that are not known are of containers that don't run.
    state: states.has(info.State) ? (info.State as ContainerState) : 'exited',
    project: projectOf(labels),
    service: serviceOf(labels),
    dependsOn: dependsOn(labels),
    labels,
    mounts: (info.Mounts ?? []).map(mountOf),
  };
}

function mountOf({
  Type: type,
  Name: name,
  Source: source,
  Destination: path,
  RW: writable,
}: Docker.ContainerInfo['Mounts'][number]): ContainerMount {
  const kind = type === 'volume' || type === 'bind' || type === 'tmpfs' ? type : 'other';
  return { kind, from: (kind === 'volume' ? name : source) ?? '', path, readOnly: !writable };
}
