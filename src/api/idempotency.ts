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
  const count = database.prepare('SELECT count(*) AS count FROM idempotency WHERE who = ?');
  type Row = { request: Uint8Array; at_ms: number; job: string | null; answer: string | null };

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
      if (before === undefined) {
        if ((count.get(who) as { count: number }).count >= mostOfOne)
          throw new HoldfastError('too-many-requests', `${mostOfOne} keys were used within a day`, { retryAfterMs: 3_600_000 });
        begin.run(who, key, request, nowMs);
      }
      try {
        // A key without an answer: the daemon died between the two, and the job may have been made.
        const job = (before && orphan(plane, who, spec, before.at_ms)) ?? start();
        end.run(job.id, JSON.stringify(job), who, key);
        return job;
      } catch (error) {
        drop.run(who, key);
        throw error;
      }
    },
  };
}

/** The oldest job that somebody started after a time with this specification. */
function orphan({ jobs }: Pick<ControlPlane, 'jobs'>, who: string, spec: JobSpec, sinceMs: number): Job | undefined {
  const since = jobs
    .list({ kind: spec.kind }, { limit: 1_000 })
    .filter(({ queuedMs, startedBy }) => queuedMs >= sinceMs && startedBy === who);
  return since.findLast((job) => isDeepStrictEqual(job.spec, JSON.parse(JSON.stringify(spec))));
}
