/** The contract of an engine that runs containers, as far as consistent backups need it. */
import type { Inventory } from './platform.ts';

export interface Containers {
  /** For messages: holds no secret. */
  readonly location: string;
  /** @throws `engine`, `engine-unreachable`, `engine-denied`, as all of these do. */
  inventory(signal?: AbortSignal): Promise<Inventory>;
  /** Undefined when there is no such container. */
  inspect(id: string): Promise<ContainerDetails | undefined>;
  /** Freezes all processes of a container. Harmless when they are. */
  pause(id: string): Promise<void>;
  /** Harmless when it isn't paused. */
  unpause(id: string): Promise<void>;
  /** Asks a container to end, and ends it after the time. Harmless when it doesn't run. */
  stop(id: string, options: { timeoutMs: number }): Promise<void>;
  /** Harmless when it runs. */
  start(id: string): Promise<void>;
  /**
   * Runs a program in a container that runs. What it prints is handed on, or its end is kept (64 KiB).
   * @throws `engine`; `command-failed` when it takes longer than the time. The program may go on then: engines end no program that they were
   * asked to run.
   */
  exec(id: string, command: readonly string[], options: ExecOptions): Promise<ExecResult>;
  /** A service of the Engine's Swarm. Undefined when there is no such service. @throws `engine` also where the Engine manages no Swarm. */
  inspectService(id: string): Promise<ServiceDetails | undefined>;
  /** Sets how many replicas a service is to have, and doesn't wait for them. Harmless when it has so many. @throws `unsupported` for others. */
  scaleService(id: string, replicas: number): Promise<void>;
  close(): void;
}

export type ServiceDetails = {
  name: string;
  /** How many there are to be; undefined for a service that isn't replicated: it has a task on every node, or is a job. */
  replicas: number | undefined;
  /** Tasks that run and are to go on, and are healthy where they have a health check; on all nodes. */
  running: number;
  /** Tasks that run, or are about to, or have not ended yet. */
  alive: number;
};

export type ContainerDetails = {
  state: 'running' | 'paused' | 'stopped' | 'restarting';
  /** Undefined without a health check. */
  health: 'starting' | 'healthy' | 'unhealthy' | undefined;
  /** It is removed when it stops. */
  removedWhenStopped: boolean;
  /** How long it wants to be given to end; undefined when it doesn't say. */
  stopTimeoutMs?: number | undefined;
};

export type ExecOptions = {
  timeoutMs: number;
  /** As `docker exec --user`; default the image's. */
  user?: string;
  signal?: AbortSignal | undefined;
  /** Takes standard output as it comes; the program waits meanwhile. */
  onOutput?: (bytes: Uint8Array) => Promise<void>;
};

export type ExecResult = {
  exitCode: number;
  /** Empty with `onOutput`. */
  stdout: string;
  stderr: string;
};
