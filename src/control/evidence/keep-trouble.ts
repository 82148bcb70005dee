import { isOver, type Job, type JobResult, repositoriesOf } from '../jobs/job.ts';
import { isOfStorage, isSeenByLooking, isSettledBy, type Trouble, troubleFact } from '../objectives/trouble.ts';
import type { EvidenceTable } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';

/** Keeps what jobs say of the storages of repositories, as facts. */
export type TroubleKeeper = {
  /** An attempt has ended. Returns the repositories of which it has said that something is wrong: looking may tell more. */
  ended(job: Job): string[];
  /** The snapshots of a repository were listed, or could not be. */
  looked(repository: string, couldLook: boolean): void;
};

export type TroubleKeeperOptions = { facts: Facts; evidence: Pick<EvidenceTable, 'list'>; now(): number };

export function createTroubleKeeper({ facts, evidence, now }: TroubleKeeperOptions): TroubleKeeper {
  const known = (repository: string) => facts.get<Trouble>(troubleFact(repository));

  function settle({ spec }: Job): void {
    for (const { name } of repositoriesOf(spec)) {
      const trouble = known(name);
      if (trouble === undefined) continue;
      // What is copied from is not written to.
      const isSettled = spec.kind === 'copy' && name === spec.from ? isSeenByLooking(trouble) : isSettledBy(trouble, spec.kind);
      if (isSettled) facts.remove(troubleFact(name));
    }
  }

  return {
    ended(job) {
      const { spec, state, error } = job;
      if (state === 'succeeded' || state === 'incomplete') settle(job);
      if (error === undefined || !isOfStorage(error) || !(state === 'failed' || state === 'queued')) return [];
      const names = repositoriesOf(spec).map(({ name }) => name);
      // Of a copy, looking tells which of the two it is; only the one that is written to gets full.
      const subject = spec.kind !== 'copy' ? names[0] : error.code === 'storage-full' ? spec.to : undefined;
      if (subject !== undefined) {
        const { code, message, remedy } = error;
        const before = known(subject);
        const sinceMs = before?.code === code ? Math.min(before.sinceMs, now()) : now();
        facts.set(troubleFact(subject), { atMs: now(), sinceMs, kind: spec.kind, code, message, remedy } satisfies Trouble);
      }
      return names;
    },
    looked(repository, couldLook) {
      const trouble = known(repository);
      if (trouble === undefined) return;
      // From now on, looks tell of it.
      if (!couldLook && isSeenByLooking(trouble)) return facts.remove(troubleFact(repository));
      if (!couldLook || (trouble.kind !== 'backup' && trouble.kind !== 'copy')) return;
      // Somebody has backed up by hand.
      const isNewer = ({ repository: name, begunMs, timeMs }: { repository: string; begunMs?: number; timeMs: number }) =>
        name === repository && (begunMs ?? timeMs) > trouble.atMs;
      if (evidence.list().some(isNewer)) facts.remove(troubleFact(repository));
    },
  };
}

/** Whether an attempt that did that may have left other snapshots in its repositories. */
export const mayHaveChanged = ({ spec, state }: Job, { snapshots }: JobResult): boolean =>
  (spec.kind === 'backup' || spec.kind === 'forget' || spec.kind === 'copy') &&
  // Some volumes may have their snapshots although others have none, and it is tried again.
  (isOver(state) || snapshots.length > 0);
