/** Scales services of Swarm to 0 in a cut: their tasks cannot be stopped one by one, since Swarm starts others. */
import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { JournalEntry } from './journal.ts';
import type { Halt, ScaleHalt } from './plan.ts';
import type { SwarmService } from './stoppable.ts';

export type ScalerOptions = {
  containers: Pick<Containers, 'inspectService' | 'scaleService'>;
  clock: Clock;
  stopTimeoutMs: number;
};

export type Scaler = {
  /**
   * Asks how many replicas there are now: the plan may be hours old.
   * @throws `unsupported` when a service is gone, or has none that could be set.
   */
  look(halts: readonly Halt[]): Promise<void>;
  /** What brings a service back. */
  entryOf(service: SwarmService): JournalEntry;
  /** Once for all tasks of a service; returns when none of them is left on any node. @throws `engine` when that takes too long. */
  scaleDown(halt: ScaleHalt): Promise<void>;
};

/** Swarm gives each task the grace period of its service, which is not ours to set. */
const graceMs = 30_000;
const pollMs = 100;

export function createScaler({ containers, clock, stopTimeoutMs }: ScalerOptions): Scaler {
  const replicas = new Map<string, number>();
  const scaled = new Map<string, Promise<void>>();

  async function toNothing({ id, name }: SwarmService): Promise<void> {
    await containers.scaleService(id, 0);
    const late = clock.now().getTime() + stopTimeoutMs + graceMs;
    for (;;) {
      const alive = (await containers.inspectService(id))?.alive ?? 0;
      if (alive === 0) return;
      if (clock.now().getTime() >= late) {
        const waited = `${(stopTimeoutMs + graceMs) / 1000} s`;
        throw new HoldfastError('engine', `the Swarm service ${name} still has ${alive} tasks ${waited} after it was scaled to 0`, {
          remedy: 'look at `docker service ps`, or use `cut: pause`',
        });
      }
      await clock.sleep(pollMs);
    }
  }

  return {
    async look(halts) {
      const services = new Map(halts.flatMap((halt) => (halt.action === 'scale' ? [[halt.service.id, halt.service] as const] : [])));
      for (const { id, name } of services.values()) {
        const now = (await containers.inspectService(id))?.replicas;
        if (now === undefined) throw new HoldfastError('unsupported', `the Swarm service ${name} can no longer be scaled`);
        replicas.set(id, now);
      }
    },
    entryOf: ({ id, name, replicas: planned }) => ({ id, name, action: 'scale', replicas: replicas.get(id) ?? planned ?? 1 }),
    scaleDown({ service }) {
      const begun = scaled.get(service.id) ?? toNothing(service);
      scaled.set(service.id, begun);
      return begun;
    },
  };
}
