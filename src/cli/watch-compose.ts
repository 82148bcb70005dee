import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { Daemon } from '../control/daemon.ts';
import { composeFileNames, hasComposeFile, overrideFileNames } from '../control/discovery/compose-files.ts';
import { type Uncovered, uncoveredFact, uncoveredVolumes } from '../control/discovery/uncovered.ts';
import { HoldfastError } from '../model/errors.ts';
import { fileSignature } from './file-signature.ts';
import { displayText } from './output/text.ts';
import { repeatedly } from './repeatedly.ts';

const lookEveryMs = 10_000;

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
export const watchCompose = (watch: ComposeWatch, signal: AbortSignal): Promise<void> =>
  repeatedly(composeLook(watch), lookEveryMs, signal, watch.onFailure);

/** One look; it costs little while nothing has changed. */
export function composeLook({ daemon, environment, onChange }: Omit<ComposeWatch, 'onFailure'>): () => Promise<void> {
  let seen: { configuration: Configuration; files: string } | undefined;
  return async () => {
    const configuration = daemon.configuration();
    const files = await signatureOf(configuration.directory);
    if (seen?.configuration === configuration && seen.files === files) return;
    const now = await lookAt(configuration, environment);
    if (now === undefined) return;
    const before = daemon.facts.get<Uncovered>(uncoveredFact) ?? none;
    if (!isDeepStrictEqual(now, before)) daemon.facts.set(uncoveredFact, now);
    // Not before it is written: the disk may be full.
    seen = { configuration, files };
    const more = now.volumes.filter((name) => !before.volumes.includes(name));
    if (more.length > 0)
      onChange(displayText(`${now.file} has volumes that holdfast.yaml does not name, and no backup holds them: ${more.join(', ')}`));
  };
}

const none: Uncovered = { file: '', volumes: [] };

/** Of all that says which volumes there are. */
const signatureOf = async (folder: string): Promise<string> =>
  (await Promise.all([...composeFileNames, ...overrideFileNames, '.env'].map((name) => fileSignature(join(folder, name))))).join('\n');

async function lookAt(configuration: Configuration, environment: NodeJS.ProcessEnv): Promise<Uncovered | undefined> {
  try {
    // With it comes the parser of YAML, which most daemons need not hold.
    if (!(await hasComposeFile(configuration.directory))) return none;
    const { discoverCompose } = await import('../control/discovery/compose.ts');
    const found = await discoverCompose(configuration.directory, environment);
    if (found === undefined) return none;
    return { file: basename(found.files[0] ?? ''), volumes: uncoveredVolumes(found, configuration) };
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}
