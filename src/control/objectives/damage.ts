import type { Job } from '../jobs/job.ts';
import type { SnapshotEvidence } from '../state/evidence-table.ts';

/** What checks have found wrong with a repository, and nobody has mended. */
export type Damage = {
  atMs: number;
  /** How many errors. */
  errors: number;
  /** Whether a snapshot is none to rely on. */
  affects(snapshot: Pick<SnapshotEvidence, 'id' | 'timeMs'>): boolean;
};

/**
 * The checks whose findings stand. Checks read a part of all packs each, so that a good check of one part says nothing of another: what a
 * part's last check found stands until the same part, or everything, was read again, or the snapshots that it affects are gone.
 * @param checks of one repository, newest first. @param present whether the repository has this snapshot.
 */
export function standing(checks: readonly Job[], present: (id: string) => boolean): Job[] {
  const seen = new Set<string>();
  const found: Job[] = [];
  let isNewest = true;
  for (const job of checks) {
    const { spec, result } = job;
    if (spec.kind !== 'check') continue;
    const errors = errorsOf(job);
    // It ended without having looked.
    if (job.state !== 'succeeded' && errors === 0) continue;
    const part = `${spec.part}/${spec.parts}`;
    const isGone = () => !isNewest && result?.affected !== undefined && !result.affected.some(present);
    if (errors > 0 && !seen.has(part) && !isGone()) found.push(job);
    seen.add(part);
    isNewest = false;
    if (spec.parts === 1) break;
  }
  return found;
}

/** What the findings that stand come to. Who is affected is what the check says, else all that was there. */
export function damageOf(found: readonly Job[]): Damage {
  const affected = new Set(found.flatMap(({ result }) => result?.affected ?? []));
  const allUntilMs = Math.max(...found.filter(({ result }) => result?.affected === undefined).map(({ endedMs }) => endedMs ?? 0));
  return {
    atMs: Math.max(...found.map(({ endedMs }) => endedMs ?? 0)),
    errors: found.reduce((sum, job) => sum + errorsOf(job), 0),
    affects: ({ id, timeMs }) => affected.has(id) || timeMs <= allUntilMs,
  };
}

export const errorsOf = ({ result }: Job): number => Object.values(result?.findings ?? {}).reduce((sum, count) => sum + count, 0);
