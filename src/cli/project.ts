/** The configuration that a command works on. Brings nothing of repositories along: many commands open none. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Configuration, VolumeConfiguration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';

type Context = CommandContext<unknown>;

/**
 * The configuration: that of holdfast.yaml, else what labels make of the folder's compose project. Undefined when there is neither, and none was
 * named. @throws `configuration`, `configuration-missing`.
 */
export async function findProject(context: Context): Promise<Configuration | undefined> {
  const written = await findProjectFile(context);
  if (written !== undefined) return written;
  const { projectOfLabels } = await import('./labelled-project.ts');
  return projectOfLabels(context, context.cwd);
}

/** The configuration as a file says it. @throws as {@link findProject}. */
export async function findProjectFile({ cwd, global }: Pick<Context, 'cwd' | 'global'>): Promise<Configuration | undefined> {
  const { findConfiguration } = await import('../control/configuration/find.ts');
  const file = global.config === undefined ? await findConfiguration(cwd) : resolve(cwd, global.config);
  if (file === undefined) return undefined;
  if (global.config !== undefined && !(await exists(file)))
    throw new HoldfastError('configuration-missing', `there is no file ${file}`, { file });
  const { loadConfiguration } = await import('../control/configuration/load.ts');
  return loadConfiguration(file);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** @throws `configuration-missing` as well. */
export async function requireProject(context: Context): Promise<Configuration> {
  const project = await findProject(context);
  if (project === undefined) throw new HoldfastError('configuration-missing', `there is no holdfast.yaml in ${context.cwd} or above`);
  return project;
}

/**
 * The configuration by which the daemon works that runs here: while `holdfast.yaml` has mistakes that is the one before, and they are told of as a
 * warning. @throws as {@link requireProject}.
 */
export async function requireDaemonProject(context: Context): Promise<Configuration> {
  try {
    return await requireProject(context);
  } catch (error) {
    const file = error instanceof HoldfastError && error.code === 'configuration' ? error.file : undefined;
    const { copyOfRunning } = await import('./daemon-place.ts');
    const copy = file === undefined ? undefined : copyOfRunning(file, context.environment);
    if (copy === undefined) throw error;
    context.output.warning(`${(error as HoldfastError).message}; the daemon works by what was there before`);
    const { loadConfiguration } = await import('../control/configuration/load.ts');
    return loadConfiguration(copy);
  }
}

/** The volumes that were named, or all. @throws `unknown-volume` with the nearest name. */
export async function selectVolumes(configuration: Configuration, names: readonly string[]): Promise<VolumeConfiguration[]> {
  if (names.length === 0) return configuration.volumes;
  const { nearest } = await import('../control/configuration/nearest.ts');
  return [...new Set(names)].map((name) => {
    const found = configuration.volumes.find((volume) => volume.name === name);
    if (found) return found;
    const suggestion = nearest(
      name,
      configuration.volumes.map((volume) => volume.name),
    );
    throw new HoldfastError('unknown-volume', `there is no volume ${JSON.stringify(name)} in ${configuration.file}`, {
      remedy: suggestion === undefined ? 'run `holdfast volumes`' : `did you mean \`${suggestion}\`? Otherwise run \`holdfast volumes\``,
    });
  });
}
