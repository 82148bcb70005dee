import { access } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Daemon } from '../control/daemon.ts';
import { composeFileNames } from '../control/discovery/compose-files.ts';
import { type Uncovered, uncoveredFact, uncoveredVolumes } from '../control/discovery/uncovered.ts';
import { HoldfastError } from '../model/errors.ts';
import { displayText } from './output/text.ts';
import { repeatedly } from './repeatedly.ts';

const lookEveryMs = 5_000;

export type ComposeWatch = {
  daemon: Pick<Daemon, 'configuration' | 'facts'>;
  environment: NodeJS.ProcessEnv;
  /** Told of volumes that came to the file, as a sentence. */
  onChange(message: string): void;
  onFailure(error: unknown): void;
};

/**
 * Looks into the compose file beside holdfast.yaml, and keeps for status and alerts which volumes it has and no backup holds; until the abort.
 * A file that cannot be read, as one that is just being written, changes nothing.
 */
export function watchCompose({ daemon, environment, onChange, onFailure }: ComposeWatch, signal: AbortSignal): Promise<void> {
  const look = async () => {
    const now = await lookAt(daemon, environment);
    const before = daemon.facts.get<Uncovered>(uncoveredFact) ?? { file: '', volumes: [] };
    if (now === undefined || JSON.stringify(now.volumes) === JSON.stringify(before.volumes)) return;
    daemon.facts.set(uncoveredFact, now);
    const more = now.volumes.filter((name) => !before.volumes.includes(name));
    if (more.length > 0)
      onChange(displayText(`${now.file} has volumes that holdfast.yaml does not name, and no backup holds them: ${more.join(', ')}`));
  };
  return repeatedly(look, lookEveryMs, signal, onFailure);
}

async function lookAt(daemon: Pick<Daemon, 'configuration'>, environment: NodeJS.ProcessEnv): Promise<Uncovered | undefined> {
  const configuration = daemon.configuration();
  try {
    // With it comes the parser of YAML, which most daemons need not hold.
    if (!(await mayBeCompose(configuration.directory, environment))) return { file: '', volumes: [] };
    const { discoverCompose } = await import('../control/discovery/compose.ts');
    const found = await discoverCompose(configuration.directory, environment);
    if (found === undefined) return { file: '', volumes: [] };
    return { file: basename(found.files[0] ?? ''), volumes: uncoveredVolumes(found, configuration) };
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

/** Whether there is a compose file, or what could name one. */
async function mayBeCompose(folder: string, environment: NodeJS.ProcessEnv): Promise<boolean> {
  if (environment.COMPOSE_FILE !== undefined) return true;
  const isMissing = (name: string) =>
    access(join(folder, name)).then(
      () => false,
      ({ code }: NodeJS.ErrnoException) => code === 'ENOENT',
    );
  return !(await Promise.all([...composeFileNames, '.env'].map(isMissing))).every(Boolean);
}
