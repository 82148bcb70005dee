/** A project as its labels complete it; without a holdfast.yaml, as the compose file and the Engine know it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import { hasComposeFile } from '../control/discovery/compose-files.ts';
import { mayHaveLabels } from '../control/discovery/labelled.ts';
import type { Labelled } from '../control/discovery/labels.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Inventory, PlatformVolume } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';
import { displayText } from './output/text.ts';
import { createPlatforms, type Platforms } from './platforms.ts';

type Context = Pick<CommandContext<unknown>, 'environment' | 'global'>;

/** What labels add to a project, hooks among it. */
export type LabelledProject = Labelled & {
  /** Undefined where nothing but labels and the compose file describe the project. */
  file: string | undefined;
  /** Hooks of labels that cannot be run, a sentence each. */
  mistakes: string[];
  /** Whether an Engine has told what labels there are; undefined where nothing of the project is an Engine's. */
  answered: boolean | undefined;
};

/**
 * The project of a folder that has a compose file and no holdfast.yaml: its volumes as the Engine knows them, when anything of it has a label of
 * Holdfast's; all else has the defaults. Undefined otherwise.
 * @throws nothing: whoever goes on without a project says so.
 */
export async function projectOfLabels(context: Context, cwd: string): Promise<Configuration | undefined> {
  if (!(await hasComposeFile(cwd))) return undefined;
  const { discoverCompose } = await import('../control/discovery/compose.ts');
  const compose = await discoverCompose(cwd, context.environment).catch(() => undefined);
  if (compose === undefined) return undefined;
  const platforms = createPlatforms(context, { directory: cwd });
  try {
    const inventory = await (await platforms.docker())?.platform.inventory();
    return inventory && (await describe(compose.project, inventory, cwd, context.environment));
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  } finally {
    platforms.close();
  }
}

async function describe(
  project: string,
  inventory: Inventory,
  cwd: string,
  environment: NodeJS.ProcessEnv,
): Promise<Configuration | undefined> {
  const [{ hasLabels }, { parseConfiguration }] = await Promise.all([
    import('../control/discovery/labels.ts'),
    import('../control/configuration/parse.ts'),
  ]);
  const containers = inventory.containers.filter((container) => container.project === project);
  const volumes = inventory.volumes.filter(
    ({ project: own, anonymous, users }) => !anonymous && (own === project || users.some(({ container }) => container.project === project)),
  );
  if (![...containers, ...volumes].some(({ labels }) => hasLabels(labels))) return undefined;
  const declared = volumes.filter((volume) => !isDisabled(volume)).map((volume) => [nameOf(volume, project), settingsOf(volume, project)]);
  if (declared.length === 0) return undefined;
  // A text that the loader judges as it does a file: JSON is YAML.
  const configuration = parseConfiguration(JSON.stringify({ project, volumes: Object.fromEntries(declared) }), join(cwd, 'holdfast.yaml'));
  // No file has said where the repository is: what restic's users have set goes before the default.
  return environment.RESTIC_REPOSITORY === undefined ? configuration : { ...configuration, repositories: [] };
}

const nameOf = ({ key, name, project: own }: PlatformVolume, project: string): string =>
  own === project && key !== undefined ? key : name;

const settingsOf = (volume: PlatformVolume, project: string) => ({
  ...(nameOf(volume, project) === volume.name ? { source: { docker: volume.name } } : {}),
  ...(volume.users[0] === undefined ? {} : { path: volume.users[0].path }),
});

const isDisabled = ({ labels, users }: PlatformVolume): boolean =>
  (labels['holdfast.enabled'] ??
    users.map(({ container }) => container.labels['holdfast.enabled']).find((value) => value !== undefined)) === 'false';

/**
 * Completes a project by the labels of its volumes and containers, where any volume is the Engine's. An Engine that does not answer completes
 * nothing: who opens its volumes will say so.
 */
export async function completeProject(configuration: Configuration, platforms: Platforms): Promise<LabelledProject> {
  // The file itself may have been changed since.
  const text = await readFile(configuration.copy ?? configuration.file, 'utf8').catch(() => undefined);
  const file = text === undefined ? undefined : configuration.file;
  const asked = mayHaveLabels(configuration);
  const inventory = asked ? await inventoryOf(platforms) : undefined;
  if (inventory === undefined) {
    const nothing = { disabled: new Set<string>(), taken: [], conflicts: [], remarks: [], mistakes: [] };
    return { configuration, ...nothing, file, answered: asked ? false : undefined };
  }
  const [{ completeByLabels }, { addHooks, hooksOfLabels }] = await Promise.all([
    import('../control/discovery/labels.ts'),
    import('../control/hooks/labels.ts'),
  ]);
  const labelled = completeByLabels(configuration, text ?? '', inventory);
  const { hooks, taken, remarks, mistakes } = hooksOfLabels(configuration.project, inventory);
  return {
    ...labelled,
    configuration: { ...labelled.configuration, hooks: addHooks(configuration.hooks, hooks) },
    taken: [...labelled.taken, ...taken],
    remarks: [...labelled.remarks, ...remarks],
    mistakes,
    file,
    answered: true,
  };
}

/** {@link completeProject} for those who need no platforms otherwise. */
export async function completedConfiguration(context: Context, configuration: Configuration): Promise<Configuration> {
  const platforms = createPlatforms(context, configuration);
  try {
    return (await completeProject(configuration, platforms)).configuration;
  } finally {
    platforms.close();
  }
}

async function inventoryOf(platforms: Platforms): Promise<Inventory | undefined> {
  try {
    return await (await platforms.docker())?.platform.inventory();
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

/** Says once what came from where; nothing where labels say nothing. @throws `configuration` for hooks that cannot be run. */
export function tellLabels(
  { configuration, file, taken, conflicts, remarks, mistakes }: LabelledProject,
  output: CommandContext['output'],
): void {
  if (mistakes.length > 0)
    throw new HoldfastError('configuration', mistakes.join('; '), { remedy: 'correct the labels, and create the container anew' });
  for (const sentence of [...conflicts, ...remarks]) output.warning(displayText(sentence));
  if (file !== undefined && taken.length === 0) return;
  output.document({
    event: 'project',
    project: configuration.project,
    ...(file === undefined ? {} : { file }),
    volumes: configuration.volumes.map(({ name }) => name),
    labels: taken,
  });
  if (file === undefined) {
    const names = configuration.volumes.map(({ name }) => name).join(', ');
    output.note(displayText(`no holdfast.yaml: project ${configuration.project} as its compose file and labels say, with ${names}`));
  }
  for (const { volume, key, value, from } of taken)
    output.note(displayText(`${volume}: ${[key, value].join(' ').trim()} (label of ${from})`));
}
