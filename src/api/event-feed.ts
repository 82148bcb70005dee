import { randomBytes } from 'node:crypto';
import type { ControlEvent, ControlPlane } from '../control/control-plane.ts';
import { isOver, type JobState } from '../control/jobs/job.ts';
import { jobResource } from './resources/jobs.ts';
import { frame, keepAlive, nextOf } from './server-sent.ts';

/** What happens in the control plane, for any number of followers that each read at their own pace: what was told is kept once, for all. */
export type EventFeed = {
  /** Frames of server-sent events, without end, after the event of an id. */
  follow(lastId: string | undefined, signal: AbortSignal): AsyncGenerator<string>;
  close(): void;
};

/** Who falls further behind, or comes back later, is told to read anew. */
const mostEvents = 2_000;
const mostBytes = 1024 * 1024;
const progressEveryMs = 1_000;

export function createEventFeed(plane: Pick<ControlPlane, 'subscribe' | 'heldUntilMs'>, now: () => number): EventFeed {
  /** Ids of another daemon's life say nothing here. */
  const life = randomBytes(4).toString('hex');
  const kept: { number: number; text: string }[] = [];
  const told = new Map<string, { state: JobState; atMs: number }>();
  let [last, bytes] = [0, 0];
  let next = Promise.withResolvers<void>();

  const isNews = (event: ControlEvent): boolean => {
    // Who may follow events may not see what others did, nor names of files: both are for fewer roles.
    if (event.event === 'audit' || event.event === 'job-log') return false;
    if (event.event !== 'job') return true;
    const { id, state } = event.job;
    const before = told.get(id);
    if (before?.state === state && now() - before.atMs < progressEveryMs) return false;
    if (isOver(state)) told.delete(id);
    else told.set(id, { state, atMs: now() });
    return true;
  };

  const unsubscribe = plane.subscribe((event) => {
    if (!isNews(event)) return;
    const [name, document] = shown(event, plane);
    last++;
    const text = frame({ id: `${life}-${last}`, event: name, data: document });
    kept.push({ number: last, text });
    bytes += text.length;
    while (kept.length > 1 && (kept.length > mostEvents || bytes > mostBytes)) bytes -= (kept.shift() as { text: string }).text.length;
    next.resolve();
    next = Promise.withResolvers();
  });

  return {
    async *follow(lastId, signal) {
      const [, ofLife, number] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastId ?? '') ?? [];
      let position = ofLife === life ? Math.min(last, Number(number)) : last;
      // Something at once: who follows learns that somebody is there.
      yield lastId === undefined || ofLife !== life ? frame({ id: `${life}-${position}`, event: 'reset', data: {} }) : keepAlive;
      while (!signal.aborted) {
        const first = kept[0]?.number ?? last + 1;
        if (position + 1 < first) {
          position = last;
          yield frame({ id: `${life}-${position}`, event: 'reset', data: {} });
          // Others may have come, and gone from what is kept, while that was read.
          continue;
        }
        const one = kept[position + 1 - first];
        if (one !== undefined) {
          position = one.number;
          yield one.text;
        } else if ((await nextOf(next.promise, signal)) === 'quiet') yield keepAlive;
      }
    },
    close: unsubscribe,
  };
}

/** As followers see it: small, as what is large has a resource of its own. */
function shown(event: ControlEvent, plane: Pick<ControlPlane, 'heldUntilMs'>): [name: string, document: unknown] {
  switch (event.event) {
    case 'job':
      return ['job', jobResource(event.job, event.progress, plane.heldUntilMs(event.job))];
    case 'assessment':
      return ['status', { condition: event.assessment.condition, atMs: event.assessment.atMs }];
    default:
      return [event.event, event];
  }
}
