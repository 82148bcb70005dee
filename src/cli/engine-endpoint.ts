/** Where the Docker Engine is that the user means, and whether the user said so. Connects to nothing. */
import { homedir } from 'node:os';
import { HoldfastError } from '../model/errors.ts';
import { type Endpoint, type EndpointOptions, findEndpoint, isEndpointGiven } from '../platform/docker/endpoint.ts';
import type { CommandContext } from './command.ts';

/** @throws as {@link findEndpoint}. */
export const engineEndpoint = (context: Pick<CommandContext<unknown>, 'environment' | 'global'>): Promise<Endpoint> =>
  findEndpoint(optionsOf(context));

export const isEngineGiven = (context: Pick<CommandContext<unknown>, 'environment' | 'global'>): boolean =>
  isEndpointGiven(optionsOf(context));

/** Its socket on this host, whether or not somebody listens there; `elsewhere` for an Engine that has none here; undefined where none is. */
export async function socketOfEngine(
  context: Pick<CommandContext<unknown>, 'environment' | 'global'>,
): Promise<string | 'elsewhere' | undefined> {
  try {
    const endpoint = await engineEndpoint(context);
    return endpoint.kind === 'unix' ? endpoint.socket : 'elsewhere';
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

const optionsOf = ({ environment, global }: Pick<CommandContext<unknown>, 'environment' | 'global'>): EndpointOptions => ({
  environment,
  home: environment.HOME || homedir(),
  uid: process.getuid?.(),
  ...(global.dockerHost === undefined ? {} : { host: global.dockerHost }),
});
