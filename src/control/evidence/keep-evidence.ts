import type { Configuration } from '../configuration/configuration.ts';
import type { JobSpec } from '../jobs/job.ts';
import { type Unseen, unseenOf } from '../objectives/unseen.ts';
import type { EvidenceTable, SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { type ListSnapshots, refreshEvidence, removeEvidence } from './read-evidence.ts';

export type EvidenceKeeper = {
  /** Looks into a repository, once at a time, and says whether it could. A failure is a fact like any other, and not thrown. */
  refresh(repository: string): Promise<boolean>;
  /** Also forgets what is known of those that are not in the configuration any more, as `refreshUnseen` does. */
  refreshAll(): Promise<void>;
  /** Whether it was ever tried to look into it, whatever came of it: before, nothing is known of what is due. */
  wasLookedAt(repository: string): boolean;
  wereAllLookedAt(): boolean;
  /** Those that were never looked into, and sooner than the others those that could not be: whoever has mended one wants to see it. Says whether anything may be known anew. */
  refreshUnseen(): Promise<boolean>;
  /** What a repository that was looked into just now holds of runs since an instant; undefined when it cannot be. Of one that is not there, nothing. */
  since(repository: string, sinceMs: number): Promise<SnapshotEvidence[] | undefined>;
  /** Until when scheduled backups of all its volumes are there: minus infinity when one was never backed up. */
  backedUpUntilMs(spec: Extract<JobSpec, { kind: 'backup' }>): number;
};

export type EvidenceKeeperOptions = {
  evidence: EvidenceTable;
  /** Gets `seen REPOSITORY` and `unseen REPOSITORY`. */
  facts: Facts;
  list: ListSnapshots;
  configuration(): Configuration;
  now(): number;
  onChange(repository: string, change: { added: number; removed: number }): void;
  /** It was looked into, or it was tried. */
  onLooked?(repository: string, couldLook: boolean): void;
  /** Looks are given up at its abort. */
  stopping?(): AbortSignal | undefined;
  /** The state cannot be written. */
  onFailure(error: unknown): void;
};

/** Processes at a time, side by side: a repository that does not answer takes a minute to give up. */
const mostLooks = 4;
const soonestMs = 60_000;

export function createEvidenceKeeper({
  evidence,
  facts,
  list,
  configuration,
  now,
  onChange,
  onLooked,
  stopping,
  onFailure,
}: EvidenceKeeperOptions): EvidenceKeeper {
  const look = async (repository: string): Promise<boolean> => {
    const signal = stopping?.();
    if (signal?.aborted) return false;
    try {
      const change = await refreshEvidence(evidence, repository, configuration().project, (name, known) => list(name, known, signal));
      facts.set(`seen ${repository}`, { atMs: now() });
      facts.remove(`unseen ${repository}`);
      onLooked?.(repository, true);
      if (change.added + change.removed > 0) onChange(repository, change);
      return true;
    } catch (error) {
      // Nothing is known of it then.
      if (signal?.aborted) return false;
      try {
        const sinceMs = facts.get<Unseen>(`unseen ${repository}`)?.sinceMs ?? now();
        facts.set(`unseen ${repository}`, unseenOf(error, now(), sinceMs));
      } catch (unwritten) {
        onFailure(unwritten);
      }
      onLooked?.(repository, false);
      onChange(repository, { added: 0, removed: 0 });
      return false;
    }
  };

  const inTurn = createTurns(mostLooks);
  /** By repository, what is looked at now, and what comes after it: a look that has begun may have missed what somebody asks for. */
  const underWay = new Map<string, { now: Promise<boolean>; next: Promise<boolean> | undefined }>();
  const refresh = (repository: string): Promise<boolean> => {
    const busy = underWay.get(repository);
    if (busy !== undefined) {
      busy.next ??= busy.now.then(() => refresh(repository));
      return busy.next;
    }
    const looking = inTurn(() => look(repository)).finally(() => underWay.delete(repository));
    underWay.set(repository, { now: looking, next: undefined });
    return looking;
  };

  const names = () => configuration().repositories.map(({ name }) => name);

  /** What repositories hold that are not in the configuration any more keeps nothing safe. Says whether there was any. */
  const forgetOthers = async (): Promise<boolean> => {
    const others = new Set(evidence.counts().map(({ repository }) => repository)).difference(new Set(names()));
    for (const repository of others) {
      const removed = await removeEvidence(evidence, repository);
      facts.remove(`seen ${repository}`);
      facts.remove(`unseen ${repository}`);
      onChange(repository, { added: 0, removed });
    }
    return others.size > 0;
  };

  const refreshThese = async (repositories: string[]) => {
    await Promise.all(repositories.map(refresh));
  };

  const wasLookedAt = (repository: string): boolean =>
    facts.get(`seen ${repository}`) !== undefined || facts.get(`unseen ${repository}`) !== undefined;

  /** After a minute, and less and less often while it lasts. */
  const wantsLook = (repository: string): boolean => {
    const unseen = facts.get<Unseen>(`unseen ${repository}`);
    if (unseen === undefined) return facts.get(`seen ${repository}`) === undefined;
    const waitedMs = now() - unseen.atMs;
    return waitedMs < 0 || waitedMs >= Math.max(soonestMs, (unseen.atMs - unseen.sinceMs) / 2);
  };

  return {
    refresh,
    async refreshAll() {
      await forgetOthers();
      await refreshThese(names());
    },
    wasLookedAt,
    wereAllLookedAt: () => names().every(wasLookedAt),
    async refreshUnseen() {
      const isLess = await forgetOthers();
      const wanted = names().filter((name) => !underWay.has(name) && wantsLook(name));
      await refreshThese(wanted);
      return isLess || wanted.length > 0;
    },
    async since(repository, sinceMs) {
      if (!names().includes(repository)) return [];
      if (!(await refresh(repository))) return undefined;
      return evidence.list().filter((one) => one.repository === repository && one.timeMs >= sinceMs);
    },
    backedUpUntilMs({ repository, volumes = configuration().volumes.map(({ name }) => name) }) {
      // Those of a clock that was wrong say nothing of what is due.
      const counts = (one: SnapshotEvidence) => one.repository === repository && one.class === 'scheduled' && one.timeMs <= now();
      return Math.min(...volumes.map((volume) => evidence.list(volume).findLast(counts)?.timeMs ?? Number.NEGATIVE_INFINITY));
    },
  };
}

/** At most so many at a time, the others in the order in which they came. */
function createTurns(most: number): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let busy = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (busy < most) busy++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) busy--;
      else next();
    }
  };
}
