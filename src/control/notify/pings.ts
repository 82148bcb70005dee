import { createHash } from 'node:crypto';
import type { Clock } from '../../model/clock.ts';
import type { Configuration, NotificationConfiguration, Watched } from '../configuration/configuration.ts';
import { isOver, type Job, repositoriesOf } from '../jobs/job.ts';
import { nameOfSchedule } from '../scheduling/tasks.ts';
import type { Facts } from '../state/log-tables.ts';
import type { Ping } from './deliver.ts';
import { cut, oneLine } from './message.ts';
import { type DeliveryRecord, deliveryFact, type Failure, failed, failureOf, untried } from './undelivered.ts';

export type PingerOptions = {
  facts: Facts;
  configuration(): Configuration;
  clock: Clock;
  ping(notification: NotificationConfiguration, ping: Ping): Promise<string>;
  complain(error: unknown): void;
  signal: AbortSignal;
};

/** Tells a watcher outside that the daemon lives, and how jobs go: it complains when it hears nothing. */
export type Pinger = {
  job(job: Job): void;
  /** Says that the daemon works, where it is time to. */
  alive(): void;
  nextMs(): number | undefined;
  settled(): Promise<void>;
};

/** A ping is of the moment: it is tried again for some minutes, and not kept. */
const waitsMs = [5_000, 30_000, 120_000, 300_000];
/** So many may be under way; a watcher that cannot be reached is told of nothing anyway. */
const mostUnderWay = 50;

export function createPinger({ facts, configuration, clock, ping, complain, signal }: PingerOptions): Pinger {
  const underWay = new Set<Promise<void>>();
  /** When a daemon's ping was sent last. */
  const pingedMs = new Map<string, number>();
  /** Jobs that run, and the pings of their start. */
  const started = new Map<string, Promise<unknown>>();
  const now = () => clock.now().getTime();
  const watchers = () =>
    configuration().notifications.flatMap((notification) => {
      const { destination } = notification;
      return destination.kind === 'healthchecks' ? [{ notification, ...destination }] : [];
    });

  async function send(notification: NotificationConfiguration, what: Ping, waits: readonly number[]): Promise<void> {
    for (const waitMs of [...waits, undefined]) {
      const failure = await ping(notification, what).then(() => undefined, failureOf);
      if (signal.aborted) return;
      record(notification.name, failure);
      if (failure === undefined || waitMs === undefined) return;
      await clock.sleep(waitMs, signal);
      if (signal.aborted) return;
    }
  }

  function record(name: string, failure: Failure | undefined): void {
    const before = facts.get<DeliveryRecord>(deliveryFact(name));
    if (failure !== undefined) facts.set(deliveryFact(name), failed(before ?? untried, failure.error, now()));
    else if (before !== undefined && before.failures > 0) facts.set(deliveryFact(name), untried);
  }

  function begin(notification: NotificationConfiguration, what: Ping, waits: readonly number[], after?: Promise<unknown>): Promise<void> {
    if (underWay.size >= mostUnderWay || signal.aborted) return Promise.resolve();
    const sending = Promise.resolve(after)
      .then(() => send(notification, what, waits))
      .catch(complain)
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
    return sending;
  }

  function tellOf(job: Job, waits: readonly number[], after?: Promise<unknown>): Promise<unknown> {
    const mine = watchers().filter(({ watch }) => isWatched(watch, job));
    return Promise.all(mine.map(({ notification }) => begin(notification, pingOf(job), waits, after)));
  }

  return {
    job(job) {
      const { id, state } = job;
      const start = started.get(id);
      // A job is told of many times while it runs.
      if (state === 'running') {
        // Not tried again: it must not arrive after the end.
        if (start === undefined) started.set(id, tellOf(job, []));
        return;
      }
      started.delete(id);
      if (isOver(state) && (start !== undefined || state === 'lost')) void tellOf(job, waitsMs, start);
    },
    alive() {
      for (const { notification, watch, everyMs } of watchers()) {
        const lastMs = pingedMs.get(notification.name);
        if (watch.what !== 'daemon' || (lastMs !== undefined && lastMs <= now() && now() - lastMs < everyMs)) continue;
        pingedMs.set(notification.name, now());
        void begin(notification, { suffix: '', body: 'the daemon runs' }, waitsMs.slice(0, 1));
      }
    },
    nextMs() {
      const instants = watchers().flatMap(({ notification, watch, everyMs }) =>
        watch.what === 'daemon' ? [(pingedMs.get(notification.name) ?? now() - everyMs) + everyMs] : [],
      );
      return instants.length === 0 ? undefined : Math.min(...instants);
    },
    async settled() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

function isWatched(watch: Watched, { schedule, spec }: Job): boolean {
  if (watch.what === 'daemon') return false;
  if (watch.what === 'schedule') return schedule === nameOfSchedule(watch.schedule);
  // A copy comes from another one.
  return watch.what === spec.kind && (watch.repository === undefined || repositoriesOf(spec).at(-1)?.name === watch.repository);
}

/** Runs of one job are found by a UUID, made of its id. */
function pingOf({ id, state, exitCode, error, spec }: Job): Ping {
  const hash = createHash('sha256').update(id).digest('hex');
  const rid = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  if (!isOver(state)) return { suffix: '/start', body: `${spec.kind} ${id}`, rid };
  const said = error === undefined ? '' : `: ${cut(oneLine(error.message), 1_000)}`;
  // An exit code of 0 must not hide another end.
  const suffix = state === 'succeeded' ? '/0' : exitCode === undefined || exitCode === 0 || exitCode > 255 ? '/fail' : `/${exitCode}`;
  return { suffix, body: `${spec.kind} ${id}: ${state}${said}`, rid };
}
