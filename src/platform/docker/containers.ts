/** Containers of a Docker Engine: pausing, stopping, starting, and running programs in them. */
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { HoldfastError } from '../../model/errors.ts';
import type { ContainerDetails, Containers, ExecOptions, ExecResult } from '../containers.ts';
import { type DockerEngine, isNotFound } from './engine.ts';
import { readInventory } from './inventory.ts';
import { inspectService, scaleService } from './swarm.ts';

/** So much of what a program prints is kept: the end, where programs say why they failed. */
const maxOutputBytes = 64 * 1024;
/** What an Engine needs beyond the time that a container has to end. */
const stopGraceMs = 30_000;

export function createDockerContainers(engine: DockerEngine): Containers {
  const { docker, location } = engine;

  async function inspect(id: string): Promise<ContainerDetails | undefined> {
    try {
      return detailsOf(
        await engine.call(`inspect container ${shortOf(id)}`, (abortSignal) => docker.getContainer(id).inspect({ abortSignal })),
      );
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** What is so already makes the Engine refuse (status 409 or 304); whether it is so is asked only then. */
  async function change(
    what: string,
    id: string,
    make: (container: Docker.Container, abortSignal: AbortSignal) => Promise<unknown>,
    wanted: Wanted,
  ) {
    try {
      await engine.call(`${what} container ${shortOf(id)}`, (abortSignal) => make(docker.getContainer(id), abortSignal), {
        timeoutMs: wanted.timeoutMs ?? 60_000,
      });
    } catch (error) {
      const details = await inspect(id).catch(() => undefined);
      if (details === undefined || !wanted.states.includes(details.state)) throw error;
    }
  }

  return {
    location,
    inventory: (signal) => readInventory(engine, signal),
    inspect,
    pause: (id) => change('pause', id, (container, abortSignal) => container.pause({ abortSignal }), { states: ['paused'] }),
    unpause: (id) =>
      change('resume', id, (container, abortSignal) => container.unpause({ abortSignal }), {
        states: ['running', 'stopped', 'restarting'],
      }),
    stop: (id, { timeoutMs }) =>
      change('stop', id, (container, abortSignal) => container.stop({ t: Math.ceil(timeoutMs / 1000), abortSignal }), {
        states: ['stopped'],
        timeoutMs: timeoutMs + stopGraceMs,
      }),
    start: (id) => change('start', id, (container, abortSignal) => container.start({ abortSignal }), { states: ['running'] }),
    exec: (id, command, options) => exec(engine, id, command, options),
    inspectService: (id) => inspectService(engine, id),
    scaleService: (id, replicas) => scaleService(engine, id, replicas),
    close: () => engine.close(),
  };
}

type Wanted = { states: readonly ContainerDetails['state'][]; timeoutMs?: number };

const shortOf = (id: string): string => id.slice(0, 12);

function detailsOf({ State: state, HostConfig: host, Config: config }: Docker.ContainerInspectInfo): ContainerDetails {
  const { StopTimeout: stopTimeout } = config as { StopTimeout?: number | null };
  const health = state.Health?.Status;
  return {
    state: state.Paused ? 'paused' : state.Restarting ? 'restarting' : state.Running ? 'running' : 'stopped',
    health: health === 'starting' || health === 'healthy' || health === 'unhealthy' ? health : undefined,
    removedWhenStopped: host.AutoRemove === true,
    // Below 0 is forever: a container that never ends is not waited for.
    ...(typeof stopTimeout === 'number' && stopTimeout >= 0 ? { stopTimeoutMs: stopTimeout * 1000 } : {}),
  };
}

async function exec(engine: DockerEngine, id: string, command: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const { timeoutMs, user, signal, onOutput } = options;
  const { docker } = engine;
  const what = `run ${command[0]} in container ${shortOf(id)}`;
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const created = await engine.call(
    what,
    (abortSignal) =>
      docker
        .getContainer(id)
        .exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true, ...(user === undefined ? {} : { User: user }), abortSignal }),
    { signal },
  );
  const stream = (await engine.call(what, () => created.start({}), { signal })) as unknown as Readable;
  const onAbort = () => stream.destroy();
  either.addEventListener('abort', onAbort, { once: true });
  if (either.aborted) onAbort();
  try {
    const said = await readFrames(stream, onOutput).catch((error: unknown) => {
      if (either.aborted) return { stdout: '', stderr: '' };
      throw error instanceof HoldfastError ? error : new HoldfastError('engine', `cannot ${what}: the connection failed`, { cause: error });
    });
    if (signal?.aborted) throw signal.reason instanceof HoldfastError ? signal.reason : new HoldfastError('interrupted', 'interrupted');
    if (timeout.aborted) throw new HoldfastError('command-failed', `cannot ${what}: it took longer than ${timeoutMs / 1000} s`);
    const { ExitCode: exitCode } = await engine.call(what, (abortSignal) => created.inspect({ abortSignal }));
    return { exitCode: exitCode ?? -1, ...said };
  } finally {
    either.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}

const frameHeaderBytes = 8;
const standardError = 2;

/**
 * Takes apart what a program prints, in frames of stream, length and bytes
 * (docs.docker.com/reference/api/engine/version/v1.48/#tag/Container/operation/ContainerAttach). The Engine is held back while `onOutput` works.
 */
async function readFrames(stream: AsyncIterable<Buffer>, onOutput: ExecOptions['onOutput']): Promise<{ stdout: string; stderr: string }> {
  const tails = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  let header: Buffer = Buffer.alloc(0);
  let remaining = 0;
  for await (const chunk of stream) {
    let rest = chunk;
    while (rest.length > 0) {
      if (remaining === 0) {
        const missing = frameHeaderBytes - header.length;
        header = Buffer.concat([header, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (header.length < frameHeaderBytes) break;
        remaining = header.readUInt32BE(4);
        if (remaining === 0) header = Buffer.alloc(0);
        continue;
      }
      const bytes = rest.subarray(0, remaining);
      rest = rest.subarray(bytes.length);
      remaining -= bytes.length;
      const isError = header[0] === standardError;
      if (remaining === 0) header = Buffer.alloc(0);
      if (!isError && onOutput !== undefined) await onOutput(bytes);
      else {
        const name = isError ? 'stderr' : 'stdout';
        tails[name] = Buffer.concat([tails[name], bytes]).subarray(-maxOutputBytes);
      }
    }
  }
  return { stdout: tails.stdout.toString(), stderr: tails.stderr.toString() };
}
