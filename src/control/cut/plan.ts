/** What a consistent cut of some volumes takes: decided from what runs, before anything is done. Pure. */
import { HoldfastError } from '../../model/errors.ts';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
import type { CutWay, KnownApp } from '../configuration/configuration.ts';
import { applicationOfImage } from '../recipes/application.ts';
import { haltGroups } from './order.ts';
import { type HaltingFacts, type SwarmService, serviceIdOf, whyUnstoppable } from './stoppable.ts';

export type VolumeOfCut = {
  name: string;
  /** The engine's volume; undefined for a directory. */
  engineVolume: string | undefined;
  /** Absolute path of a directory that isn't an engine's volume. */
  directory: string | undefined;
  /** It is read from a stream: this process reaches none of its files. */
  streamed?: boolean;
  /** What the configuration says. */
  app: KnownApp | undefined;
  way: CutWay | 'auto';
};

/** What was asked of applications, by the ids of their containers. */
export type ApplicationFacts = {
  /** Whether Redis keeps an append-only file; `unknown` when it would not say. */
  redisAppendOnly: ReadonlyMap<string, boolean | 'unknown'>;
  /** The container that this process runs in; it cannot halt itself. */
  ownContainer: string | undefined;
};

export type PlannedVolume = {
  name: string;
  way: CutWay;
  /** Why, for people. */
  reason: string;
  /** Whose tool is used, or who is asked to write out what it holds. */
  app: KnownApp | undefined;
  /** Containers that run and may write to it. */
  writers: PlatformContainer[];
  /** Something may write to it that cannot be halted: the grade is `crash` at best. */
  uncertain: boolean;
  /** Whether an engine knows all that can use it. */
  known: boolean;
};

/** Tasks of a Swarm service end when it is scaled to 0; each of them has a halt, with the same service. */
export type Halt = { container: PlatformContainer; action: 'pause' } | StopHalt | ScaleHalt;
/** With the time that the container itself wants to be given, where it says so. */
type StopHalt = { container: PlatformContainer; action: 'stop'; timeoutMs?: number };
export type ScaleHalt = { container: PlatformContainer; action: 'scale'; service: SwarmService };

export type CutPlan = {
  volumes: PlannedVolume[];
  /** In the order of halting: what others depend on comes last. */
  halts: Halt[][];
};

/** Labels of volumes and containers, for those who prefer them to holdfast.yaml. A volume's goes before a container's. */
const wayLabel = 'holdfast.cut';
const ways: readonly string[] = ['live', 'pause', 'stop', 'dump'];

/**
 * Containers that use a volume read-only are left alone, and so are those that don't run. What cannot be stopped is paused, unless somebody asked
 * for the stop.
 * @throws `usage` when a volume is to be dumped and there is no tool for it, or a label names no way; `unsupported` when something is to be
 * stopped that comes back by itself, or never.
 */
export function planCut(inventory: Inventory, volumes: readonly VolumeOfCut[], facts: ApplicationFacts, halting: HaltingFacts): CutPlan {
  const planned = volumes.map((volume) => planVolume(inventory, volume, facts, halting));
  const actions = new Map<string, Halt>();
  for (const { way, writers } of planned) {
    if (way !== 'pause' && way !== 'stop') continue;
    for (const container of writers) {
      if (!isHaltable(container, facts)) continue;
      if (way === 'stop') actions.set(container.id, stopOf(container, halting));
      else if (!actions.has(container.id)) actions.set(container.id, { container, action: 'pause' });
    }
  }
  const containers = [...actions.values()].map(({ container }) => container);
  const halts = haltGroups(containers, inventory.containers).map((group) => group.map(({ id }) => actions.get(id) as Halt));
  return { volumes: planned, halts };
}

const isHaltable = ({ id, state }: PlatformContainer, { ownContainer }: ApplicationFacts) => id !== ownContainer && state === 'running';

const isActive = ({ state }: PlatformContainer) => state === 'running' || state === 'paused' || state === 'restarting';

/** Containers that run and may write to a volume. */
export function writersOf(
  inventory: Inventory,
  { engineVolume, directory }: Pick<VolumeOfCut, 'engineVolume' | 'directory'>,
): PlatformContainer[] {
  const users =
    engineVolume !== undefined
      ? (inventory.volumes.find(({ name }) => name === engineVolume)?.users ?? [])
      : inventory.bindMounts.filter(({ from }) => directory !== undefined && overlap(from, directory)).flatMap((mount) => mount.users);
  const writers = users.filter(({ container, readOnly }) => !readOnly && isActive(container)).map(({ container }) => container);
  return [...new Map(writers.map((container) => [container.id, container])).values()];
}

const overlap = (a: string, b: string) => `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);

function stopOf(container: PlatformContainer, { services, stopTimeoutsMs }: HaltingFacts): Halt {
  const service = services.get(serviceIdOf(container) ?? '');
  if (service !== undefined) return { container, action: 'scale', service };
  const timeoutMs = stopTimeoutsMs.get(container.id);
  return { container, action: 'stop', ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

function planVolume(inventory: Inventory, volume: VolumeOfCut, facts: ApplicationFacts, halting: HaltingFacts): PlannedVolume {
  const writers = writersOf(inventory, volume);
  const app = volume.app ?? onlyOne(writers.map(({ image }) => applicationOfImage(image)).filter((found) => found !== undefined));
  const label = labelledWay(inventory, volume, writers);
  const asked = volume.way !== 'auto' ? { way: volume.way, reason: 'as asked' } : label;
  const unstoppable = writers.find((container) => isHaltable(container, facts) && whyUnstoppable(container, halting) !== undefined);
  const chosen = asked ?? withoutStop(chooseWay(volume, writers, app, facts), unstoppable, halting);
  if (chosen.way === 'dump') refuseUndumpable(volume, writers, app, facts);
  if (chosen.way === 'stop' && unstoppable !== undefined) refuseUnstoppable(volume.name, unstoppable, halting);
  return {
    name: volume.name,
    ...chosen,
    app,
    writers,
    uncertain: writers.some((container) => !isHaltable(container, facts)),
    known: volume.engineVolume !== undefined,
  };
}

function labelledWay(
  inventory: Inventory,
  volume: VolumeOfCut,
  writers: readonly PlatformContainer[],
): { way: CutWay; reason: string } | undefined {
  const engineVolume = inventory.volumes.find(({ name }) => name === volume.engineVolume);
  const label = engineVolume?.labels[wayLabel] ?? writers.map(({ labels }) => labels[wayLabel]).find((value) => value !== undefined);
  if (label === undefined || label === 'auto') return undefined;
  if (ways.includes(label)) return { way: label as CutWay, reason: `label ${wayLabel}` };
  throw new HoldfastError('usage', `volume ${volume.name}: the label ${wayLabel} says ${JSON.stringify(label)}`, {
    volume: volume.name,
    remedy: `correct the label: auto, ${ways.join(', ')}`,
  });
}

function chooseWay(
  { engineVolume, streamed }: VolumeOfCut,
  writers: readonly PlatformContainer[],
  app: KnownApp | undefined,
  facts: ApplicationFacts,
): { way: CutWay; reason: string } {
  if (app === 'sqlite' && !streamed && (engineVolume === undefined || writers.length > 0))
    return { way: 'dump', reason: 'SQLite databases are copied while they are used' };
  // What bind-mounts a directory may do so for other reasons: a monitor that mounts everything is not to be halted unasked.
  if (engineVolume === undefined) return { way: 'live', reason: 'a directory' };
  const [only, ...others] = writers;
  if (only === undefined) return { way: 'live', reason: 'no container that runs writes to it' };
  if (app === 'redis' && others.length === 0) {
    const appendOnly = facts.redisAppendOnly.get(only.id);
    if (appendOnly === true) return { way: 'pause', reason: 'Redis with an append-only file' };
    if (appendOnly === false) return { way: 'dump', reason: 'Redis saves by itself (BGSAVE)' };
    return { way: 'stop', reason: 'Redis saves when it stops, and could not be asked to do so running' };
  }
  if (app === 'redis') return { way: 'stop', reason: 'Redis saves when it stops' };
  if (app !== undefined) return { way: 'pause', reason: `${displayName[app]} recovers what was committed` };
  return { way: 'pause', reason: 'containers that run write to it' };
}

const displayName: Record<KnownApp, string> = {
  redis: 'Redis',
  postgres: 'PostgreSQL',
  mysql: 'MySQL',
  mariadb: 'MariaDB',
  mongo: 'MongoDB',
  sqlite: 'SQLite',
};

const onlyOne = <Value>(values: readonly Value[]): Value | undefined => (new Set(values).size === 1 ? values[0] : undefined);

function refuseUndumpable(
  { name, streamed }: VolumeOfCut,
  writers: readonly PlatformContainer[],
  app: KnownApp | undefined,
  facts: ApplicationFacts,
): void {
  const [only] = writers;
  if (app === 'sqlite' && !streamed) return;
  const why =
    app === 'sqlite'
      ? 'its databases cannot be reached from here: it is read from a stream'
      : app === undefined
        ? 'no application is known that could dump it'
        : only === undefined
          ? 'no container that runs uses it'
          : writers.length > 1
            ? 'several containers write to it'
            : only.state !== 'running'
              ? `container ${only.name} is ${only.state}`
              : app === 'redis' && facts.redisAppendOnly.get(only.id) === true
                ? 'Redis starts from its append-only file, whatever a dump says'
                : undefined;
  if (why === undefined) return;
  throw new HoldfastError('usage', `volume ${name} cannot be dumped: ${why}`, {
    volume: name,
    remedy: 'name its application (`app: postgres`), or choose another way: `cut: pause` or `cut: stop`',
  });
}

function withoutStop(
  chosen: { way: CutWay; reason: string },
  unstoppable: PlatformContainer | undefined,
  halting: HaltingFacts,
): { way: CutWay; reason: string } {
  if (chosen.way !== 'stop' || unstoppable === undefined) return chosen;
  return { way: 'pause', reason: `container ${unstoppable.name} ${whyUnstoppable(unstoppable, halting)}` };
}

function refuseUnstoppable(volume: string, container: PlatformContainer, halting: HaltingFacts): never {
  throw new HoldfastError(
    'unsupported',
    `volume ${volume} cannot be read stopped: container ${container.name} ${whyUnstoppable(container, halting)}`,
    { volume, remedy: 'use `cut: pause`; nothing was halted' },
  );
}
