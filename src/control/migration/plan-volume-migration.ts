/** What the migration of a volume to another one halts and makes, and what speaks against it. Pure. */
import { HoldfastError } from '../../model/errors.ts';
import type { Inventory, PlatformVolume } from '../../platform/platform.ts';
import type { NewVolume } from '../../platform/volume-keeper.ts';
import { haltGroups } from '../cut/order.ts';
import { copyLike, refuseInMemory } from '../restoring/plan-restore.ts';

/** What is done to containers that may write to the source while it is read. */
export const haltWays = ['stop', 'pause', 'live'] as const;
export type HaltWay = (typeof haltWays)[number];
export type HaltedContainer = { id: string; name: string };

export type VolumeMigrationRequest = {
  source: string;
  target: string;
  inventory: Pick<Inventory, 'volumes' | 'containers'>;
  /** The same object when both are volumes of one Engine. */
  targetInventory: Pick<Inventory, 'volumes' | 'containers'>;
  way: HaltWay;
};

export type VolumeMigrationPlan = {
  source: PlatformVolume;
  /** Undefined when it is to be made. */
  target: PlatformVolume | undefined;
  make: NewVolume | undefined;
  /** In the order in which they are halted; they come back in the reverse. */
  halt: HaltedContainer[];
  /** What people should know before: a sentence each. */
  notes: string[];
};

const running: readonly string[] = ['running', 'restarting'];
const swarmLabel = 'com.docker.swarm.service.id';
const anonymousLabel = 'com.docker.volume.anonymous';

/** @throws `volume-missing`; `usage` when both are one; `volume-in-use` for containers that run and use the target, or that Swarm would start; `unsupported`. */
export function planVolumeMigration(request: VolumeMigrationRequest): VolumeMigrationPlan {
  const { inventory, targetInventory, way } = request;
  const sameEngine = inventory === targetInventory;
  const source = inventory.volumes.find(({ name }) => name === request.source);
  if (source === undefined) {
    throw new HoldfastError('volume-missing', `there is no Docker volume ${request.source}`, {
      volume: request.source,
      remedy: 'run `docker volume ls`: a volume is named as the Engine names it, such as shop_data',
    });
  }
  if (sameEngine && request.source === request.target) throw new HoldfastError('usage', 'source and target are the same volume');
  const target = targetInventory.volumes.find(({ name }) => name === request.target);
  if (target !== undefined) refuseInMemory(target, target.name);
  const notes: string[] = [];
  for (const { container } of target?.users ?? []) {
    if (running.includes(container.state) || container.state === 'paused') {
      throw new HoldfastError(
        'volume-in-use',
        `the target ${request.target} is used by container ${container.name}, which is ${container.state}`,
        {
          volume: request.target,
          remedy: `stop it first: docker stop ${container.name}`,
        },
      );
    }
    notes.push(
      `container ${container.name}, which is ${container.state}, mounts ${request.target}: it gets the new content when it starts`,
    );
  }
  const writers = source.users.filter(({ container }) => running.includes(container.state)).map(({ container }) => container);
  const swarm = writers.find(({ labels }) => labels[swarmLabel] !== undefined);
  if (swarm !== undefined && way === 'stop') {
    throw new HoldfastError('volume-in-use', `volume ${source.name} is mounted by ${swarm.name}, which Swarm would start again`, {
      volume: source.name,
      remedy: `scale the service to nothing first: docker service scale ${swarm.service ?? swarm.name}=0; or read it with --cut pause`,
    });
  }
  if (way === 'live' && writers.length > 0)
    notes.push(`${source.name} is read while ${writers.map(({ name }) => name).join(', ')} may write to it`);
  const halted =
    way === 'live' ? [] : haltGroups([...new Map(writers.map((each) => [each.id, each])).values()], [...inventory.containers]).flat();
  return {
    source,
    target,
    make: target === undefined ? newVolume(request, source, sameEngine, notes) : undefined,
    halt: halted.map(nameOf),
    notes,
  };
}

const nameOf = ({ id, name }: HaltedContainer): HaltedContainer => ({ id, name });

/** On another Engine, a volume of the same name is the same volume to Compose: it is known there by its labels. */
function newVolume({ target: name }: VolumeMigrationRequest, source: PlatformVolume, sameEngine: boolean, notes: string[]): NewVolume {
  const { [anonymousLabel]: _, ...labels } = source.labels;
  const { driver, driverOptions, note } = copyLike(source);
  if (note !== undefined) notes.push(note);
  return { name, driver, driverOptions, labels: !sameEngine && name === source.name ? labels : {} };
}
