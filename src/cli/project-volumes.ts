/** The volumes of a project as the configuration, labels, the compose file and the Engine know them, put together. */
import type { Configuration, VolumeConfiguration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import type { BindMount, Inventory, MountedBy, PlatformVolume } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';
import { completeProject } from './labelled-project.ts';
import { createPlatforms, type Platforms } from './platforms.ts';

export type ProjectVolumes = {
  /** Completed by labels. */
  configuration: Configuration;
  /** By the name in the configuration. */
  found: Map<string, FoundVolume>;
  undeclared: { name: string; anonymous: boolean; users: { name: string; path: string }[] }[];
  bindMounts: { from: string; users: { name: string; path: string }[] }[];
  labelRemarks: string[];
};

export type FoundVolume = {
  /** Undefined for what the Engine doesn't know: plain directories. */
  volume: PlatformVolume | undefined;
  /** Where this process reaches it; undefined when it doesn't. */
  directory: string | undefined;
};

/** Asks the Engine twice, whatever the number of volumes. @throws as `Platforms.docker`. */
export async function findProjectVolumes(
  context: Pick<CommandContext<unknown>, 'environment' | 'global'>,
  configuration: Configuration,
): Promise<ProjectVolumes> {
  const platforms = createPlatforms(context, configuration);
  try {
    const [docker, compose] = await Promise.all([platforms.docker(), composeProject(configuration, context)]);
    const inventory = await docker?.platform.inventory();
    const projects = [...new Set([configuration.project, ...(compose === undefined ? [] : [compose.project])])];
    const { isVolume } = await import('../control/discovery/labels.ts');
    const labelled = await completeProject(configuration, platforms);
    const { volumes } = labelled.configuration;
    const ofEngine = (volume: VolumeConfiguration) =>
      inventory?.volumes.find((candidate) => projects.some((project) => isVolume(project, volume, candidate)));
    const found = new Map<string, FoundVolume>();
    for (const volume of volumes) {
      const known = ofEngine(volume);
      const directory =
        known === undefined ? await directoryOf(platforms, configuration.project, volume) : await docker?.platform.directoryOf(known);
      if (known !== undefined || directory !== undefined) found.set(volume.name, { volume: known, directory });
    }
    const declared = new Set([...found.values()].map(({ volume }) => volume?.name));
    const engineOnes =
      inventory === undefined
        ? []
        : ofProject(inventory, projects).filter(({ name }) => !declared.has(name) && !labelled.disabled.has(name));
    const composeOnes = (compose?.volumes ?? [])
      .filter(
        ({ name, source }) =>
          !volumes.some(
            (volume) =>
              volume.name === name ||
              (source !== undefined && 'docker' in source && volume.source.kind === 'docker' && volume.source.volume === source.docker),
          ),
      )
      .filter(({ name }) => !engineOnes.some((volume) => volume.key === name) && !labelled.disabled.has(`${compose?.project}_${name}`));
    return {
      configuration: labelled.configuration,
      found,
      undeclared: [
        ...engineOnes.map(({ name, key, anonymous, users }) => ({ name: key ?? name, anonymous, users: usersOf(users) })),
        ...composeOnes.map(({ name, mounts }) => ({
          name,
          anonymous: false,
          users: mounts.map(({ service, path }) => ({ name: service, path })),
        })),
      ],
      bindMounts: bindMountsOf(inventory, projects),
      labelRemarks: [...labelled.remarks, ...labelled.conflicts, ...labelled.mistakes],
    };
  } finally {
    platforms.close();
  }
}

async function composeProject(configuration: Configuration, { environment }: Pick<CommandContext<unknown>, 'environment'>) {
  const { discoverCompose } = await import('../control/discovery/compose.ts');
  return discoverCompose(configuration.directory, environment);
}

async function directoryOf(platforms: Platforms, project: string, { name, source }: VolumeConfiguration): Promise<string | undefined> {
  try {
    const { directory, exists } = await platforms.locate({ name, project, source });
    return exists ? directory : undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

/** Those with its label, and what its containers mount: anonymous volumes have no label of the project. */
const ofProject = ({ volumes }: Inventory, projects: readonly string[]): PlatformVolume[] =>
  volumes.filter(
    ({ project, users }) => projects.includes(project ?? '') || users.some(({ container }) => projects.includes(container.project ?? '')),
  );

function bindMountsOf(inventory: Inventory | undefined, projects: readonly string[]): ProjectVolumes['bindMounts'] {
  const own = ({ from, users }: BindMount) => ({
    from,
    users: usersOf(users.filter(({ container }) => projects.includes(container.project ?? ''))),
  });
  return (inventory?.bindMounts ?? []).map(own).filter(({ users }) => users.length > 0);
}

/** Services where they have a name, each once. */
function usersOf(users: readonly MountedBy[]): { name: string; path: string }[] {
  const byName = new Map(users.map(({ container, path }) => [container.service ?? container.name, path]));
  return [...byName].map(([name, path]) => ({ name, path }));
}
