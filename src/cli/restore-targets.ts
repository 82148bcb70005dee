/** Where a restore writes to: directories, and volumes of the Docker Engine. */
import { stat, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Configuration, VolumeSource } from '../control/configuration/configuration.ts';
import type { Choice } from '../control/restore-points.ts';
import {
  composeVolumeLabels,
  planRestore,
  type RestorePlan,
  type SpaceNeed,
  type VolumeTarget,
} from '../control/restoring/plan-restore.ts';
import { HoldfastError } from '../model/errors.ts';
import { createDirectoryPlatform } from '../platform/directory/directory.ts';
import type { VolumeWriter } from '../platform/docker/volume-writer.ts';
import type { Inventory } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';
import { connectDocker, type DockerAccess } from './docker-access.ts';

export type TargetOptions = { to?: string; toVolume?: string; toProject?: string };

export type Target = {
  choice: Choice;
  /** Undefined for a volume that is yet to be made, and for one that is reached only through the Engine. */
  directory: string | undefined;
  /** Undefined for a directory. */
  engineVolume: string | undefined;
  /** Whether the Engine has the volume, and this process no directory of it. */
  remote: boolean;
  /** Once it is opened, of a volume that is remote. */
  stream?: VolumeWriter;
};

/** Volumes of the Engine among the targets. */
export type InDocker = { access: DockerAccess; inventory: Inventory; plan: RestorePlan };

export type Targets = {
  targets: Target[];
  /** False for a directory that was named by `--to`: nobody takes what is there for a volume. */
  inPlace: boolean;
  docker: InDocker | undefined;
};

type Context = CommandContext<TargetOptions>;

/**
 * Looks only; nothing is made. Close the `access` that is returned.
 * @throws `usage`; `unknown-volume`; `volume-missing`; `volume-in-use`; `engine-unreachable`, `engine-denied`, `engine`.
 */
export async function findTargets(
  context: Context,
  configuration: Configuration | undefined,
  choices: readonly Choice[],
): Promise<Targets> {
  const { to, toVolume, toProject } = context.options;
  if ([to, toVolume, toProject].filter((option) => option !== undefined).length > 1)
    throw new HoldfastError('usage', 'only one of --to, --to-volume and --to-project can be given');
  if (to !== undefined) return { targets: beneath(context, to, configuration, choices), inPlace: false, docker: undefined };
  if (toVolume !== undefined && choices.length !== 1) {
    throw new HoldfastError('usage', '--to-volume takes one volume', {
      remedy: 'name the volume that is restored; several go to volumes of another project with --to-project',
    });
  }
  const elsewhere = toVolume !== undefined || toProject !== undefined;
  if (!elsewhere && configuration === undefined) {
    throw new HoldfastError('usage', 'without a holdfast.yaml, a restore needs --to DIRECTORY, --to-volume NAME or --to-project NAME', {
      remedy: 'a project that only labels described, and whose containers and volumes are gone, comes back with --to-project PROJECT',
    });
  }
  const sources = new Map(choices.map(({ volume }) => [volume, sourceOf(configuration, volume, elsewhere)]));
  const inEngine = (volume: string) => elsewhere || sources.get(volume)?.kind === 'docker' || sources.get(volume)?.kind === 'by-name';
  const access = choices.some(({ volume }) => inEngine(volume))
    ? await connectDocker(context, elsewhere ? 'required' : 'if-there')
    : undefined;
  try {
    return await withEngine(context, configuration, choices, { access, sources, inEngine });
  } catch (error) {
    await access?.close();
    throw error;
  }
}

type Found = {
  access: DockerAccess | undefined;
  sources: ReadonlyMap<string, VolumeSource | undefined>;
  inEngine: (volume: string) => boolean;
};

async function withEngine(
  { options }: Context,
  configuration: Configuration | undefined,
  choices: readonly Choice[],
  { access, sources, inEngine }: Found,
): Promise<Targets> {
  const inventory = await access?.containers.inventory();
  const targets: Target[] = [];
  const wanted: VolumeTarget[] = [];
  for (const choice of choices) {
    const { volume } = choice;
    const source = sources.get(volume);
    if (inventory === undefined || !inEngine(volume)) {
      const reference = { name: volume, project: configuration?.project ?? '', source: source as VolumeSource };
      const { directory } = await createDirectoryPlatform().locate(reference);
      targets.push({ choice, directory, engineVolume: undefined, remote: false });
      continue;
    }
    const own =
      configuration === undefined || source === undefined ? undefined : engineVolumeOf(inventory, configuration.project, volume, source);
    const target = targetIn(inventory, { options, volume, own, project: configuration?.project, byName: source?.kind === 'by-name' });
    wanted.push(target);
    const known = inventory.volumes.find(({ name }) => name === target.engineVolume);
    const directory = known && (await (access as DockerAccess).directoryOf(known));
    targets.push({ choice, engineVolume: target.engineVolume, directory, remote: known !== undefined && directory === undefined });
  }
  const docker = access && inventory ? { access, inventory, plan: planRestore(inventory, wanted) } : undefined;
  return { targets, inPlace: true, docker };
}

type Wanted = { options: TargetOptions; volume: string; own: string | undefined; project: string | undefined; byName: boolean };

function targetIn(inventory: Inventory, { options: { toVolume, toProject }, volume, own, project, byName }: Wanted): VolumeTarget {
  const like = own === undefined ? {} : { like: own };
  if (toVolume !== undefined) return { volume, engineVolume: toVolume, ...like, labels: {} };
  if (toProject !== undefined) {
    const known = inventory.volumes.find((other) => other.project === toProject && other.key === volume);
    const labels = composeVolumeLabels(toProject, volume, inventory);
    return { volume, engineVolume: known?.name ?? `${toProject}_${volume}`, ...like, labels };
  }
  // Compose takes a volume with its labels for its own; one that was named otherwise is external to it.
  return {
    volume,
    engineVolume: own as string,
    labels: byName && project !== undefined ? composeVolumeLabels(project, volume, inventory) : {},
  };
}

/** Compose finds a volume by its labels; `name:` in the compose file may have given it any name. */
export function engineVolumeOf(inventory: Inventory, project: string, name: string, source: VolumeSource): string {
  if (source.kind === 'docker') return source.volume;
  const labelled = inventory.volumes.find((volume) => volume.project === project && volume.key === name);
  return labelled?.name ?? `${project}_${name}`;
}

function sourceOf(configuration: Configuration | undefined, volume: string, elsewhere: boolean): VolumeSource | undefined {
  const known = configuration?.volumes.find(({ name }) => name === volume);
  if (known !== undefined || elsewhere) return known?.source;
  throw new HoldfastError('unknown-volume', `volume ${volume} is not in ${configuration?.file}`, {
    remedy: 'say where to restore it with --to DIRECTORY or --to-volume NAME',
  });
}

function beneath({ cwd, operands }: Context, to: string, configuration: Configuration | undefined, choices: readonly Choice[]): Target[] {
  const folder = resolve(cwd, to);
  const single = choices.length === 1 && (operands.length === 1 || configuration === undefined);
  return choices.map((choice) => ({
    choice,
    directory: single ? folder : join(folder, choice.volume),
    engineVolume: undefined,
    remote: false,
  }));
}

/** What the restores of whole volumes take, and what there is. Directories that are not there, and snapshots that don't say, are left out. */
export async function spaceNeeds(targets: readonly Target[], presentBytesOf: (target: Target) => number): Promise<SpaceNeed[]> {
  const needs: SpaceNeed[] = [];
  for (const target of targets) {
    const { choice, directory } = target;
    const neededBytes = choice.snapshot.summary?.totalBytesProcessed;
    if (directory === undefined || neededBytes === undefined) continue;
    const space = await spaceOf(directory);
    if (space !== undefined) needs.push({ volume: choice.volume, directory, neededBytes, presentBytes: presentBytesOf(target), ...space });
  }
  return needs;
}

/** Undefined when that cannot be told; the restore itself says what is wrong then. */
export async function spaceOf(directory: string): Promise<Pick<SpaceNeed, 'device' | 'availableBytes'> | undefined> {
  try {
    const [{ dev }, { blocks, bavail, bsize }] = await Promise.all([stat(directory), statfs(directory)]);
    // A file system in memory may not say how large it is.
    return blocks === 0 ? undefined : { device: dev, availableBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}
