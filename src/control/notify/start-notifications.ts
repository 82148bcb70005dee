import type { Clock } from '../../model/clock.ts';
import { type AlertSubject, silenceFact } from '../alerts/alert.ts';
import { observe } from '../alerts/observe.ts';
import { createRecentJobs } from '../alerts/recent-jobs.ts';
import { type Damping, defaultDamping, step } from '../alerts/step.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { ProjectAssessment } from '../objectives/assessment.ts';
import { tasksOf } from '../scheduling/tasks.ts';
import { createAlertTable } from '../state/alert-table.ts';
import { createOutboxTable } from '../state/outbox-table.ts';
import type { State } from '../state/state.ts';
import { deliver, ping } from './deliver.ts';
import { dueDigest } from './digest.ts';
import { type News, newsOf, wants } from './message.ts';
import { createSender, type SenderOptions } from './outbox.ts';
import { createPinger, type PingerOptions } from './pings.ts';
import { undelivered } from './undelivered.ts';

export type NotificationOptions = {
  state: State;
  clock: Clock;
  /** Where secrets are found that stand in the environment. */
  environment: NodeJS.ProcessEnv;
  /** Told of what keeps alerts from being looked after. */
  complain(error: unknown): void;
  damping?: Damping;
  /** Instead of the network: a test's own. */
  deliver?: SenderOptions['deliver'];
  ping?: PingerOptions['ping'];
};

export type Notifications = {
  /** Ends what is under way; what has not arrived is sent after the next start. Nothing touches the state afterwards. */
  stop(): Promise<void>;
};

/** It is looked at least so often: what gets late makes no event. */
const lookEveryMs = 60_000;
/** So long repositories are waited for: one that neither answers nor fails must not keep all else from being told. */
const firstLookMs = 30 * 60_000;

/**
 * Looks after alerts, and tells whom the configuration names, until it is stopped. Alerts and what is to be told of them are written in one
 * transaction: a crash neither loses nor repeats any, but for a message that was on its way.
 */
export function startNotifications(plane: ControlPlane, options: NotificationOptions): Notifications {
  const { state, clock, environment } = options;
  const [alerts, outbox] = [createAlertTable(state), createOutboxTable(state)];
  const stopping = new AbortController();
  const { signal } = stopping;
  const now = () => clock.now().getTime();
  const settings = () => ({ directory: plane.configuration().directory, environment, signal });
  const recent = createRecentJobs(plane.jobs);
  const beganMs = now();
  let wakeUp = () => {};
  let refused: string | undefined;
  /** What was thought before repositories were looked at is not told. */
  let hasLooked = false;

  const shared = { facts: plane.facts, configuration: plane.configuration, complain: options.complain, signal };
  const sender = createSender({
    ...shared,
    outbox,
    now,
    deliver: options.deliver ?? ((notification, message) => deliver(notification, message, settings())),
    onEnded: () => wakeUp(),
  });
  const pinger = createPinger({
    ...shared,
    clock,
    ping: options.ping ?? ((notification, what) => ping(notification, what, settings())),
  });

  function tell(news: readonly News[], assessment: ProjectAssessment): void {
    for (const notification of plane.configuration().notifications) {
      if (notification.destination.kind === 'healthchecks') continue;
      for (const one of news)
        if (wants(notification, one, assessment))
          outbox.add(notification.name, { atMs: one.atMs, news: one.id, document: JSON.stringify(one) });
    }
  }

  function look(assessment: ProjectAssessment): void {
    const configuration = plane.configuration();
    const nowMs = now();
    const open = alerts.open();
    const observed = observe({
      assessment,
      configuration,
      jobs: plane.jobs,
      newest: recent.newest,
      startedMs: plane.startedMs,
      nowMs,
      refused,
      undelivered: undelivered(configuration, plane.facts),
    });
    const isSilenced = (key: string) => (plane.facts.get<{ untilMs: number }>(silenceFact(key))?.untilMs ?? 0) > nowMs;
    const { changed, dropped, notices } = step(open, observed, nowMs, options.damping ?? defaultDamping, isSilenced);
    const isKnown = knownSubjects(plane, assessment);
    state.transaction(() => {
      alerts.put(changed);
      alerts.drop(dropped.map(({ id }) => id));
      alerts.removeOlder(nowMs - configuration.daemon.historyMs);
      outbox.keepOnly(configuration.notifications.map(({ name }) => name));
      tell(
        notices.flatMap((notice) => newsOf(notice, nowMs, isKnown) ?? []),
        assessment,
      );
      for (const notification of configuration.notifications) {
        const digest = dueDigest(notification, plane.facts, { assessment, alerts: alerts.open(), jobs: plane.jobs, nowMs });
        if (digest !== undefined) outbox.add(notification.name, { atMs: nowMs, news: digest.id, document: JSON.stringify(digest) });
      }
    });
  }

  const unsubscribe = plane.subscribe((event) => {
    if (event.event === 'assessment') hasLooked = true;
    if (event.event === 'configuration') refused = event.accepted ? undefined : event.message;
    if (event.event === 'job') {
      recent.changed(event.job);
      pinger.job(event.job);
    }
    if (event.event === 'assessment' || event.event === 'configuration') wakeUp();
  });

  /** What goes wrong here must not end it. */
  function attempt<Result>(work: () => Result): { result: Result } | undefined {
    try {
      return { result: work() };
    } catch (error) {
      options.complain(error);
      return undefined;
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const looked = attempt(() => ((hasLooked && hasSeen(plane)) || now() - beganMs > firstLookMs ? look(plane.assess()) : undefined));
      const sent = attempt(() => sender.send());
      // Only where all works by which somebody is told.
      if (looked && sent) attempt(() => pinger.alive());
      await sleep();
    }
    await Promise.all([sender.settled(), pinger.settled()]);
  }

  async function sleep(): Promise<void> {
    const instants = attempt(() => [sender.nextMs(), pinger.nextMs()])?.result ?? [];
    const waitMs = Math.min(lookEveryMs, ...instants.flatMap((atMs) => (atMs === undefined ? [] : [atMs - now()])));
    const woken = new AbortController();
    wakeUp = () => woken.abort();
    await clock.sleep(Math.max(1_000, waitMs), AbortSignal.any([signal, woken.signal]));
  }

  const running = run();
  return {
    async stop() {
      unsubscribe();
      stopping.abort();
      await running;
    },
  };
}

/** Whether all repositories were looked at, or tried to: without that, nobody knows what is wrong. */
const hasSeen = ({ configuration, facts }: ControlPlane): boolean =>
  configuration().repositories.every(({ name }) => (facts.get(`seen ${name}`) ?? facts.get(`unseen ${name}`)) !== undefined);

/** What is over for something that is not there any more did not get better. */
function knownSubjects(plane: ControlPlane, assessment: ProjectAssessment): (subject: AlertSubject) => boolean {
  const volumes = new Set(assessment.volumes.map(({ volume }) => volume));
  const repositories = new Set(assessment.repositories.map(({ repository }) => repository));
  const tasks = new Set(tasksOf(plane.configuration()).map(({ name }) => name));
  const notifications = new Set(plane.configuration().notifications.map(({ name }) => name));
  return (subject) => {
    switch (subject.kind) {
      case 'volume':
        return volumes.has(subject.name);
      case 'repository':
        return repositories.has(subject.name);
      case 'job':
        return tasks.has(subject.name);
      case 'notification':
        return notifications.has(subject.name);
      case 'project':
        return true;
    }
  };
}
