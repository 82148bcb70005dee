/** What is known of a project: by its daemon when one runs, else by looking into the repositories. */
import type { ApiClient } from '../api/client.ts';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { ProjectAssessment } from '../control/objectives/assessment.ts';
import { HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';
import { daemonFolder, isTaken } from './daemon-place.ts';
import type { Known, OpenJob } from './judge-by-state.ts';

/** Judges the project as it is now. */
export async function judgeProject(context: CommandContext<unknown>, configuration: Configuration): Promise<Known> {
  const folder = daemonFolder(configuration, context.environment);
  const daemon = isTaken(folder);
  const said = daemon ? await askDaemonHere(folder, context.signal) : undefined;
  if (said !== undefined) return said;
  const { judgeByState } = await import('./judge-by-state.ts');
  return judgeByState(context, configuration, { folder, daemon });
}

/** A daemon answers at once, or is not to be waited for. */
const answerMs = 3_000;

/**
 * Of the daemon whose folder it is, by its own socket: it has judged all this before. Undefined when it does not answer, because it has only begun, or is
 * busy or broken: then what it has written down tells.
 */
async function askDaemonHere(folder: string, signal: AbortSignal): Promise<Known | undefined> {
  const { addressOfDaemon, createClient } = await import('../api/client.ts');
  try {
    const address = addressOfDaemon(folder);
    if (!address.startsWith('unix:')) return undefined;
    return await askDaemon(createClient({ address, signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]) }));
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** What a daemon says of its project. @throws as the client. */
export async function askDaemon(client: ApiClient): Promise<Known> {
  const jobs = async (state: 'running' | 'queued') => {
    try {
      return (await Array.fromAsync(client.all('listJobs', { query: { state } }))) as OpenJob[];
    } catch (error) {
      // Who may see the state may not always see the jobs.
      if (error instanceof HoldfastError && error.code === 'not-permitted') return [];
      throw error;
    }
  };
  const [assessment, running, queued] = await Promise.all([client.call('getStatus'), jobs('running'), jobs('queued')]);
  // One that begins meanwhile is told of twice.
  const begun = new Set(running.map(({ id }) => id));
  const open = [...running, ...queued.filter(({ id }) => !begun.has(id))];
  return { assessment: assessment as ProjectAssessment, daemon: true, open };
}
