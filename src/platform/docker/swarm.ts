/** Services of a Swarm: how many tasks they have, and scaling them (docs.docker.com/reference/api/engine/version/v1.41/#tag/Service). */
import { HoldfastError } from '../../model/errors.ts';
import type { ServiceDetails } from '../containers.ts';
import { type DockerEngine, isNotFound } from './engine.ts';

/** States of a task that will never run again (docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states). */
const ended: ReadonlySet<string> = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned']);

type Spec = { Name?: string; Mode?: Record<string, { Replicas?: number } | undefined>; [more: string]: unknown };
type Service = { ID: string; Version: { Index: number }; Spec: Spec };

/** Undefined when there is no such service. @throws `engine` also where the Engine is no manager of its Swarm. */
export async function inspectService(engine: DockerEngine, id: string): Promise<ServiceDetails | undefined> {
  const { docker } = engine;
  const service = await readService(engine, id);
  if (service === undefined) return undefined;
  const asked = { filters: { service: [service.ID] } };
  const tasks = await engine.call(`list the tasks of service ${nameOf(service)}`, (abortSignal) =>
    docker.listTasks({ ...asked, abortSignal } as object),
  );
  const states = (tasks as { DesiredState?: string; Status?: { State?: string } }[]).map(({ DesiredState: wanted, Status: status }) => ({
    wanted,
    state: status?.State ?? '',
  }));
  return {
    name: nameOf(service),
    replicas: replicasOf(service),
    // Those that are told to end run until they have.
    running: states.filter(({ wanted, state }) => wanted === 'running' && state === 'running').length,
    alive: states.filter(({ state }) => !ended.has(state)).length,
  };
}

/** Harmless when it has so many replicas. @throws `unsupported` for a service that has none to be set. */
export async function scaleService(engine: DockerEngine, id: string, replicas: number): Promise<void> {
  const service = await readService(engine, id);
  if (service === undefined) throw new HoldfastError('engine', `there is no Swarm service ${id}`);
  const now = replicasOf(service);
  if (now === replicas) return;
  if (now === undefined)
    throw new HoldfastError('unsupported', `the Swarm service ${nameOf(service)} is not replicated: it cannot be scaled`);
  // The version says what the change is made to: the Engine refuses it when somebody else was quicker.
  const change = { _query: { version: service.Version.Index }, _body: { ...service.Spec, Mode: { Replicated: { Replicas: replicas } } } };
  await engine.call(`scale service ${nameOf(service)} to ${replicas}`, (abortSignal) =>
    engine.docker.getService(service.ID).update({ ...change, abortSignal } as object),
  );
}

async function readService(engine: DockerEngine, id: string): Promise<Service | undefined> {
  try {
    return (await engine.call(`inspect service ${id}`, () => engine.docker.getService(id).inspect())) as Service;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const nameOf = ({ ID: id, Spec: spec }: Service): string => spec.Name ?? id;

/** Undefined for services with a task on every node, and for jobs. */
const replicasOf = ({ Spec: { Mode: mode } }: Service): number | undefined =>
  mode?.Replicated === undefined ? undefined : (mode.Replicated.Replicas ?? 1);
