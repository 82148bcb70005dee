import type { ControlPlane } from '../../control/control-plane.ts';
import type { Job, JobProgress } from '../../control/jobs/job.ts';
import { isOver } from '../../control/jobs/job.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { AnswerOf } from '../contract/operations.ts';
import { frame, keepAlive, nextOf } from '../server-sent.ts';
import { type Asked, type JsonHandler, requirePace, type Served } from './handlers.ts';
import { numberCursor, type Page } from './paging.ts';

/** Of a defect, the stack is for its log alone. */
const shownError = (error: Job['error']): Job['error'] =>
  error?.code === 'internal' ? { ...error, message: error.message.split('\n', 1)[0] as string } : error;

/** A job as the API shows it: without the process, which is this host's business. */
export function jobResource(
  { process: _, error, ...job }: Job,
  progress: JobProgress | undefined,
  heldUntilMs: number | undefined,
): AnswerOf<'getJob'> {
  return { ...job, error: shownError(error), heldUntilMs, progress };
}

const asItStands = (job: Job, plane: Pick<ControlPlane, 'progress' | 'heldUntilMs'>): AnswerOf<'getJob'> =>
  jobResource(job, plane.progress(job.id), plane.heldUntilMs(job));

export const startJob: JsonHandler<'startJob'> = ({ plane, keys, changes, now }, { body: { spec, priority }, caller, idempotencyKey }) => {
  let started: Job | undefined;
  const start = () => {
    requirePace(changes, caller, now());
    started = plane.start(spec, caller.name, priority);
    return started;
  };
  const job = idempotencyKey === undefined ? start() : keys.once({ who: caller.name, key: idempotencyKey, spec, priority }, start);
  // After the key knows its job: a log that cannot be written makes no start that is asked for again.
  if (started !== undefined)
    plane.auditLog.add({ atMs: now(), who: caller.name, what: 'job-start', document: { job: job.id, spec, priority: job.priority } });
  return asItStands(job, plane);
};

export const cancelJob: JsonHandler<'cancelJob'> = ({ plane, now }, { parameters, caller }) => {
  const before = jobOf(plane, parameters.job);
  const job = plane.cancel(before.id) ?? before;
  if (!isOver(before.state)) plane.auditLog.add({ atMs: now(), who: caller.name, what: 'job-cancel', document: { job: job.id } });
  return asItStands(job, plane);
};

export const getJob: JsonHandler<'getJob'> = ({ plane }, { parameters }) => {
  const job = jobOf(plane, parameters.job);
  return asItStands(job, plane);
};

export const listJobs: JsonHandler<'listJobs'> = ({ plane }, { query: { limit, cursor, ...filter } }) => {
  const jobs = plane.jobs.list(filter, { limit: limit + 1, before: cursor });
  return oneMore(
    jobs,
    limit,
    ({ id }) => id,
    (job) => asItStands(job, plane),
  );
};

export const readJobLog: JsonHandler<'readJobLog'> = ({ plane }, { parameters, query: { limit, cursor } }) => {
  const job = jobOf(plane, parameters.job);
  const after = numberCursor(cursor) ?? 0;
  const items = plane.jobs.readLog(job.id, { limit, after });
  const last = items.at(-1)?.number ?? after;
  // Of what has ended and was read to its end, nothing comes.
  return isOver(job.state) && items.length < limit ? { items } : { items, next: String(last) };
};

export const listDrills: JsonHandler<'listDrills'> = ({ plane }, { query: { limit, cursor } }) => {
  const jobs = plane.jobs.list({ kind: 'drill' }, { limit: limit + 1, before: cursor });
  const { items, ...rest } = oneMore(
    jobs,
    limit,
    ({ id }) => id,
    (job) => job,
  );
  return { items: items.flatMap((job) => drillsOf(job)), ...rest };
};

const drillsOf = ({ id, endedMs, queuedMs, result }: Job) =>
  (result?.drilled ?? []).map((drilled) => ({ job: id, atMs: endedMs ?? queuedMs, ...drilled }));

export const listAuditLog: JsonHandler<'listAuditLog'> = ({ plane }, { query: { limit, cursor } }) => {
  const entries = plane.auditLog.list({ limit: limit + 1, before: numberCursor(cursor) });
  return oneMore(
    entries,
    limit,
    ({ number }) => String(number),
    (entry) => entry,
  );
};

/** A page of what was asked for with one more than the limit. */
function oneMore<From, To>(found: From[], limit: number, key: (one: From) => string, shown: (one: From) => To): Page<To> {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items: items.map(shown), ...(found.length > limit && last !== undefined ? { next: key(last) } : {}) };
}

const linesAtOnce = 500;

/** Frames of a job's log and states, until it has ended. Who reads slowly holds up nobody: the log is read as it is asked for. */
export async function* followJob(
  { plane }: Pick<Served, 'plane'>,
  { parameters, signal, lastEventId }: Asked<'followJob'>,
): AsyncGenerator<string> {
  const { id } = jobOf(plane, parameters.job);
  let after = numberCursor(lastEventId) ?? 0;
  let news = Promise.withResolvers<void>();
  let shown = '';
  const unsubscribe = plane.subscribe((event) => {
    if ((event.event === 'job' && event.job.id === id) || (event.event === 'job-log' && event.job === id)) news.resolve();
  });
  try {
    while (!signal.aborted) {
      news = Promise.withResolvers();
      const job = plane.jobs.get(id);
      if (job === undefined) return;
      for (let full = true; full && !signal.aborted; ) {
        const lines = plane.jobs.readLog(id, { limit: linesAtOnce, after });
        for (const line of lines) {
          after = line.number;
          yield frame({ id: String(after), event: 'log', data: line });
        }
        full = lines.length === linesAtOnce;
      }
      const text = frame({ event: isOver(job.state) ? 'end' : 'job', data: asItStands(job, plane) });
      if (text !== shown) yield text;
      shown = text;
      if (isOver(job.state)) return;
      if ((await nextOf(news.promise, signal)) === 'quiet') yield keepAlive;
    }
  } finally {
    unsubscribe();
  }
}

function jobOf(plane: Pick<Served['plane'], 'jobs'>, id: string): Job {
  const job = plane.jobs.get(id);
  if (job === undefined)
    throw new HoldfastError('resource-missing', `there is no job ${JSON.stringify(id)}`, { remedy: 'run `holdfast jobs`' });
  return job;
}
