/** A whole daemon for tests, alerts and notifications included, on a clock that passes by itself; its repositories are models that can be away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Configuration } from '../../src/control/configuration/configuration.ts';
import { createDaemon, type Daemon } from '../../src/control/daemon.ts';
import { type Job, repositoriesOf } from '../../src/control/jobs/job.ts';
import { startNotifications } from '../../src/control/notify/start-notifications.ts';
import type { ProjectAssessment } from '../../src/control/objectives/assessment.ts';
import { openState, type State } from '../../src/control/state/state.ts';
import { errorDocument, type HoldfastError } from '../../src/model/errors.ts';
import { scratch } from '../peers.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';
import { createModelRepository } from './model-repository.ts';

export type LivingDaemon = {
  clock: FakeClock;
  daemon: Daemon;
  state: State;
  /** By repository: what its storage says to whoever writes, and to whoever looks. */
  broken: Map<string, { write?: HoldfastError; look?: HoldfastError | Promise<never> }>;
  /** Jobs as they began: `near 12:00`, in UTC. */
  begun: string[];
  /** What was told: `at-risk repository far repository-unreachable`. */
  told: string[];
  assessments: ProjectAssessment[];
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
};

const clockTime = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

/** @param took how long a job takes, whether or not its storage answers. */
export function liveDaemon(t: TestContext, configuration: Configuration, startMs: number, tookMs = 60_000): LivingDaemon {
  const clock = createFakeClock(startMs);
  const now = () => clock.now().getTime();
  const state = openState(join(scratch(t), 'state.sqlite'));
  const models = new Map(configuration.repositories.map(({ name }) => [name, createModelRepository(configuration.project)]));
  const [broken, begun, told, assessments]: [LivingDaemon['broken'], string[], string[], ProjectAssessment[]] = [new Map(), [], [], []];
  const daemon = createDaemon({
    version: '1',
    configuration,
    state,
    folder: '/nowhere',
    clock,
    program: { command: ['false'], directory: '/', environment: {} },
    async execute(job: Job, { onLine }, signal) {
      const repository = repositoriesOf(job.spec)[0]?.name as string;
      begun.push(`${repository} ${clockTime(now())}`);
      const fromMs = now();
      await clock.sleep(tookMs, signal);
      if (signal.aborted) return 130;
      const error = broken.get(repository)?.write;
      if (error !== undefined) onLine(JSON.stringify({ event: 'error', error: errorDocument(error) }));
      if (error !== undefined) return error.exitCode;
      const model = models.get(repository);
      for (const { name: volume } of configuration.volumes)
        model?.backUp({ volume, run: job.id, fromMs, untilMs: now(), consistency: 'crash' });
      return 0;
    },
    async *listSnapshots(repository, known, signal) {
      const away = broken.get(repository)?.look;
      if (away instanceof Promise) await Promise.race([away, signal && once(signal, 'abort')]);
      if (away !== undefined) throw away;
      const all = models.get(repository)?.snapshots ?? new Map();
      for (const [id, { line }] of all) if (!known.includes(id)) yield JSON.stringify(line);
      yield JSON.stringify({ present: [...all.keys()] });
    },
    onFailure: (error) => assert.fail(error as Error),
  });
  daemon.subscribe((event) => {
    if (event.event === 'assessment') assessments.push(event.assessment);
  });
  const notifications = startNotifications(daemon, {
    state,
    clock,
    environment: {},
    complain: (error) => assert.fail(error as Error),
    async deliver(_, { news }) {
      for (const { event, subject, kind } of news)
        told.push(`${event} ${'name' in subject ? `${subject.kind} ${subject.name}` : subject.kind} ${kind}`);
      return '';
    },
  });
  const ending = new AbortController();
  const running = daemon.run(ending.signal);
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    ending.abort();
    await Promise.all([running, notifications.stop(), clock.passUntil(now())]);
    state.close();
  };
  t.after(stop);
  return { clock, daemon, state, broken, begun, told, assessments, pass: (ms) => clock.passUntil(now() + ms), stop };
}
