/** Where this host keeps what Holdfast must not forget when it is killed. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Absolute: HOLDFAST_STATE_DIR; for root `/var/lib/holdfast`; else `holdfast` in XDG_STATE_HOME or `~/.local/state`.
 * As the XDG specification has it, a relative path there counts for nothing.
 */
export function stateFolder(environment: NodeJS.ProcessEnv): string {
  if (environment.HOLDFAST_STATE_DIR) return resolve(environment.HOLDFAST_STATE_DIR);
  if (process.getuid?.() === 0) return '/var/lib/holdfast';
  if (environment.XDG_STATE_HOME?.startsWith('/')) return join(environment.XDG_STATE_HOME, 'holdfast');
  return join(environment.HOME || homedir(), '.local', 'state', 'holdfast');
}
