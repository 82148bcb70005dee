/** The daemon that a command asks: the one of --server or HOLDFAST_SERVER, else this host's of the project at hand. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type ApiClient, addressOfDaemon, createClient } from '../api/client.ts';
import { HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';
import { daemonFolder } from './daemon-place.ts';
import { requireDaemonProject } from './project.ts';

type Context = CommandContext<unknown>;

/** The address of another daemon than this host's; undefined when none was named. */
const namedServer = ({ global, environment }: Pick<Context, 'global' | 'environment'>): string | undefined =>
  global.server ?? (environment.HOLDFAST_SERVER || undefined);

/** @throws `daemon-unreachable` when none runs here; `usage` for an address that is none; `configuration-missing` without a project. */
export async function daemonClient(context: Context): Promise<ApiClient> {
  const { environment, signal } = context;
  const server = namedServer(context);
  if (server !== undefined) return createClient({ address: server, token: await tokenOf(context), signal });
  const address = addressOfDaemon(daemonFolder(await requireDaemonProject(context), environment));
  return createClient({ address, token: address.startsWith('unix:') ? undefined : await tokenOf(context), signal });
}

/** From HOLDFAST_TOKEN, or the first line of the file that HOLDFAST_TOKEN_FILE names. */
async function tokenOf({ environment, cwd }: Context): Promise<string | undefined> {
  const { HOLDFAST_TOKEN: token, HOLDFAST_TOKEN_FILE: file } = environment;
  if (token) return token.trim();
  if (!file) return undefined;
  try {
    return (await readFile(resolve(cwd, file), 'utf8')).split('\n', 1)[0]?.trim();
  } catch (cause) {
    throw new HoldfastError('usage', `the file of HOLDFAST_TOKEN_FILE cannot be read`, {
      cause,
      file,
      remedy: 'check its path and permissions',
    });
  }
}
