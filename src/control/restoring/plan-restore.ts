/** What a restore into an engine's volumes needs: volumes to make, containers to stop, and what speaks against it. Pure. */
import { HoldfastError } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import { isInMemory } from '../../platform/mounted-on-demand.ts';
import type { Inventory, PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import type { NewVolume } from '../../platform/volume-keeper.ts';
import { haltGroups } from '../cut/order.ts';
import { serviceIdOf } from '../cut/stoppable.ts';

/** A volume that is to be restored into. */
export type VolumeTarget = {
  /** The volume's name in the project, for messages. */
  volume: string;
  /** The engine's name for the target. */
  engineVolume: string;
  /** The volume that the snapshot was of, when it is another: a new volume takes its driver and options from it. */
  like?: string;
  /** What a new volume is labelled with. */
  labels: Readonly<Record<string, string>>;
};

export type RestorePlan = {
  create: NewVolume[];
  /** Containers that run and mount one of the targets, in groups and the order in which they are stopped; they start in the reverse. */
  stop: PlatformContainer[][];
  /** What people should know before: a sentence each. */
  notes: string[];
};

/**
 * @throws `volume-in-use` for containers that cannot be stopped and started again: paused ones, and those of Swarm, which would start others;
 * `unsupported` for volumes in memory.
 */
export function planRestore({ volumes, containers }: Inventory, targets: readonly VolumeTarget[]): RestorePlan {
  const byName = new Map(volumes.map((volume) => [volume.name, volume]));
  const create: NewVolume[] = [];
  const stop = new Map<string, PlatformContainer>();
  const notes: string[] = [];
  for (const target of targets) {
    const known = byName.get(target.engineVolume);
    if (known === undefined) {
      create.push(newVolume(target, target.like === undefined ? undefined : byName.get(target.like), notes));
      continue;
    }
    refuseInMemory(known, target.volume);
    for (const { container } of known.users) {
      if (isStopped(container)) {
        notes.push(
          `container ${container.name}, which is ${container.state}, mounts ${known.name}: it gets the restored content when it starts`,
        );
      } else {
        refuseUnstoppable(container, target);
        stop.set(container.id, container);
      }
    }
  }
  return { create, stop: haltGroups([...stop.values()], containers), notes: [...new Set(notes)] };
}

const isStopped = ({ state }: PlatformContainer) => state === 'exited' || state === 'created' || state === 'dead' || state === 'removing';

function refuseUnstoppable(container: PlatformContainer, { volume }: VolumeTarget): void {
  const { name, state, service } = container;
  if (serviceIdOf(container) !== undefined) {
    throw new HoldfastError('volume-in-use', `volume ${volume} is mounted by ${name}, which Swarm would start again while it is restored`, {
      volume,
      remedy: `scale the service to nothing first: docker service scale ${service ?? name}=0`,
    });
  }
  if (state === 'paused') {
    throw new HoldfastError('volume-in-use', `volume ${volume} is mounted by container ${name}, which is paused`, {
      volume,
      remedy: `run \`docker unpause ${name}\` or \`docker stop ${name}\` first`,
    });
  }
}

function newVolume({ engineVolume, labels }: VolumeTarget, like: PlatformVolume | undefined, notes: string[]): NewVolume {
  const { driver, driverOptions, note } = copyLike(like);
  if (note !== undefined) notes.push(note);
  return { name: engineVolume, driver, driverOptions, labels };
}

/**
 * Driver and options of a new volume that holds a copy of another one. Not those that say where the content is (an NFS export, a device, a
 * directory of the host, memory): two volumes with them may be one, and what is written to the copy would be written to the original.
 */
export function copyLike(volume: PlatformVolume | undefined): Pick<NewVolume, 'driver' | 'driverOptions'> & { note?: string } {
  if (volume === undefined) return { driver: 'local', driverOptions: {} };
  const { name, driver, driverOptions } = volume;
  const { device } = driverOptions;
  if (driver !== 'local' || device === undefined) return { driver, driverOptions };
  return { driver: 'local', driverOptions: {}, note: `${name} is at ${device}: its copy is an ordinary volume of the Engine` };
}

/** @throws `unsupported` for a volume in memory: what is written while no container runs is gone when it is written. */
export function refuseInMemory({ name, driver, driverOptions }: PlatformVolume, volume: string): void {
  if (!isInMemory({ driver, driverOptions })) return;
  throw new HoldfastError('unsupported', `volume ${volume}: ${name} is in memory (tmpfs), and holds nothing while no container uses it`, {
    volume,
    remedy: 'name the other volumes to restore only those; this one to a directory with --to, and copy it in while a container runs',
  });
}

/** Labels by which Compose, version 1 and 2, knows a volume as its own (`pkg/api/labels.go` of docker/compose). */
export function composeVolumeLabels(project: string, key: string, { containers }: Pick<Inventory, 'containers'>): Record<string, string> {
  const versionLabel = 'com.docker.compose.version';
  const version = containers.find((container) => container.project === project)?.labels[versionLabel];
  return {
    'com.docker.compose.project': project,
    'com.docker.compose.volume': key,
    ...(version === undefined ? {} : { [versionLabel]: version }),
  };
}

/** How much a restore may add to a file system. */
export type SpaceNeed = {
  volume: string;
  directory: string;
  /** The file system's, for those that share one. */
  device: number;
  availableBytes: number;
  /** Of all files in the snapshot, and of those that are there already. */
  neededBytes: number;
  presentBytes: number;
};

/**
 * Refuses what cannot fit. What is there already is taken for reusable, so that a restore in place into a nearly full file system is let
 * through; whether it is reusable only the restore itself finds out.
 * @throws `target-full`.
 */
export function refuseTooLittleSpace(needs: readonly SpaceNeed[]): void {
  const byDevice = Map.groupBy(needs, ({ device }) => device);
  for (const group of byDevice.values()) {
    const missing = group.reduce((sum, { neededBytes, presentBytes }) => sum + Math.max(0, neededBytes - presentBytes), 0);
    const [first] = group as [SpaceNeed];
    if (missing <= first.availableBytes) continue;
    const names = group.map(({ volume }) => volume).join(', ');
    throw new HoldfastError(
      'target-full',
      `restoring ${names} takes about ${formatSize(missing)}, and ${first.directory} has room for ${formatSize(first.availableBytes)}`,
      {
        volume: first.volume,
        file: first.directory,
        remedy: 'make room first: nothing was changed. Files with holes take less: then run again with --ignore-space',
      },
    );
  }
}
