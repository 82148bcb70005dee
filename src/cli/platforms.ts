/** Which platform a volume is on: a plain directory, a Docker Engine that is here, or the place where Docker's volumes usually are. */
import { existsSync } from 'node:fs';
import { hostname, release } from 'node:os';
import type { Configuration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { createDirectoryPlatform } from '../platform/directory/directory.ts';
import type { DockerPlatform } from '../platform/docker/docker.ts';
import type { DockerEngine } from '../platform/docker/engine.ts';
import type { Platform, VolumeReference } from '../platform/platform.ts';
import type { CommandContext } from './command.ts';

export type Platforms = Platform & {
  /** The Docker Engine, connected when it is first asked for; undefined where none was named and there is none. @throws `engine-denied`, ... */
  docker(): Promise<{ platform: DockerPlatform; engine: DockerEngine } | undefined>;
  /** Ends connections. */
  close(): void;
};

type Context = Pick<CommandContext<unknown>, 'environment' | 'global'>;

/** Connects to nothing before a volume or the Engine is asked for. */
export function createPlatforms(context: Context, configuration: Pick<Configuration, 'directory'> | undefined): Platforms {
  const directories = createDirectoryPlatform();
  let connecting: ReturnType<typeof connect> | undefined;
  let opened: DockerEngine | undefined;
  const docker = () =>
    (connecting ??= connect(context).then((connected) => {
      opened = connected?.engine;
      return connected;
    }));

  async function ask<Result>(reference: VolumeReference, question: (platform: Platform, reference: VolumeReference) => Promise<Result>) {
    const { kind } = reference.source;
    const platform = kind === 'directory' || kind === 'pvc' ? directories : ((await docker())?.platform ?? directories);
    try {
      return await question(platform, reference);
    } catch (error) {
      const composed = missing(error) && kind === 'by-name' ? await sourceInCompose(configuration, reference, context) : undefined;
      if (composed === undefined) throw error;
      return question(platform, { ...reference, source: { kind: 'docker', volume: composed } });
    }
  }

  return {
    docker,
    locate: (reference) => ask(reference, (platform, asked) => platform.locate(asked)),
    open: (reference) => ask(reference, (platform, asked) => platform.open(asked)),
    close: () => opened?.close(),
  };
}

const missing = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'volume-missing';

async function connect(context: Context): Promise<{ platform: DockerPlatform; engine: DockerEngine } | undefined> {
  const { engineEndpoint, isEngineGiven } = await import('./engine-endpoint.ts');
  try {
    const endpoint = await engineEndpoint(context);
    // The client of the Engine takes longer to load than a small backup: not where there is none.
    if (endpoint.kind === 'unix' && !isEngineGiven(context) && !existsSync(endpoint.socket)) return undefined;
    const [{ createDockerEngine }, { createDockerPlatform }] = await Promise.all([
      import('../platform/docker/engine.ts'),
      import('../platform/docker/docker.ts'),
    ]);
    const engine = createDockerEngine(endpoint);
    const platform = createDockerPlatform({ engine, host: { name: hostname(), kernel: release() } });
    await platform.inventory();
    return { platform, engine };
  } catch (error) {
    // A host without an Engine, or whose Engine is down: its volumes may be where they usually are.
    if (error instanceof HoldfastError && error.code === 'engine-unreachable' && !isEngineGiven(context)) return undefined;
    throw error;
  }
}

/** What the compose file beside holdfast.yaml calls a volume: projects may have another name there, and volumes one of their own. */
async function sourceInCompose(
  configuration: Pick<Configuration, 'directory'> | undefined,
  { name }: VolumeReference,
  { environment }: Context,
): Promise<string | undefined> {
  if (configuration === undefined) return undefined;
  const { discoverCompose } = await import('../control/discovery/compose.ts');
  // A compose file with mistakes is Compose's to complain about.
  const found = await discoverCompose(configuration.directory, environment).catch(() => undefined);
  const volume = found?.volumes.find((candidate) => candidate.name === name);
  if (found === undefined || volume === undefined) return undefined;
  return volume.source !== undefined && 'docker' in volume.source ? volume.source.docker : `${found.project}_${name}`;
}
