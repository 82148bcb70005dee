import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import type { ControlPlane } from '../control/control-plane.ts';
import type { Job, JobSpec } from '../control/jobs/job.ts';
import { HoldfastError } from '../model/errors.ts';

/** Starts that were asked for under a key, so that a client that lost the answer can ask again and starts nothing twice. */
export type IdempotencyKeys = {
  /** What `start` returned under this key before, else what it returns now. @throws `request-conflict`. */
  once(request: { who: string; key: string; spec: JobSpec; priority: number | undefined }, start: () => Job): Job;
};

const keptMs = 86_400_000;
const mostOfOne = 10_000;

export function createIdempotencyKeys(database: DatabaseSync, plane: Pick<ControlPlane, 'jobs'>, now: () => number): IdempotencyKeys {
  const find = database.prepare('SELECT request, at_ms, job, answer FROM idempotency WHERE who = ? AND key = ?');
  const begin = database.prepare('INSERT INTO idempotency (who, key, request, at_ms) VALUES (?, ?, ?, ?)');
  const end = database.prepare('UPDATE idempotency SET job = ?, answer = ? WHERE who = ? AND key = ?');
  const drop = database.prepare('DELETE FROM idempotency WHERE who = ? AND key = ?');
  const dropOld = database.prepare('DELETE FROM idempotency WHERE at_ms < ?');
  const answers = database.prepare('SELECT job FROM idempotency WHERE who = ? AND job IS NOT NULL');
  const count = database.prepare('SELECT count(*) AS count FROM idempotency WHERE who = ?');
  type Row = { request: Uint8Array; at_ms: number; job: string | null; answer: string | null };

  /** Those whose answer the database would not take: by caller and key. */
  const unsaved = new Map<string, Job>();

  const answered = (who: string, key: string, job: Job): Job => {
    const place = `${who} ${key}`;
    try {
      end.run(job.id, JSON.stringify(job), who, key);
      unsaved.delete(place);
    } catch {
      // It has been started, whatever comes now: the key stays, and a failure would make the client ask for another.
      unsaved.set(place, job);
    }
    return job;
  };

  return {
    once({ who, key, spec, priority }, start) {
      const nowMs = now();
      dropOld.run(nowMs - keptMs);
      const request = createHash('sha256')
        .update(JSON.stringify([spec, priority ?? null]))
        .digest();
      const before = find.get(who, key) as Row | undefined;
      if (before !== undefined && !request.equals(before.request))
        throw new HoldfastError('request-conflict', 'this Idempotency-Key was used for another request');
      if (before?.answer != null) return JSON.parse(before.answer) as Job;
      if (before !== undefined) {
        // A key without an answer: the daemon died between the two, and the job may have been made.
        const others = new Set((answers.all(who) as { job: string }[]).map(({ job }) => job));
        const job = unsaved.get(`${who} ${key}`) ?? orphan(plane, { who, spec, sinceMs: before.at_ms, others });
        if (job !== undefined) return answered(who, key, job);
      } else {
        if ((count.get(who) as { count: number }).count >= mostOfOne)
          throw new HoldfastError('too-many-requests', `${mostOfOne} keys were used within a day`, { retryAfterMs: 3_600_000 });
        begin.run(who, key, request, nowMs);
      }
      let job: Job;
      try {
        job = start();
      } catch (error) {
        drop.run(who, key);
        throw error;
      }
      return answered(who, key, job);
    },
  };
}

type Orphan = { who: string; spec: JobSpec; sinceMs: number; others: ReadonlySet<string> };

/** The oldest job that somebody started after a time with this specification, and that no other key has for its answer. */
function orphan({ jobs }: Pick<ControlPlane, 'jobs'>, { who, spec, sinceMs, others }: Orphan): Job | undefined {
  const since = jobs
    .list({ kind: spec.kind }, { limit: 1_000 })
    .filter(({ id, queuedMs, startedBy }) => queuedMs >= sinceMs && startedBy === who && !others.has(id));
  return since.findLast((job) => isDeepStrictEqual(job.spec, JSON.parse(JSON.stringify(spec))));
}
