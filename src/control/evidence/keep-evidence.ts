import type { Configuration } from '../configuration/configuration.ts';
import type { JobSpec } from '../jobs/job.ts';
import { type Unseen, unseenOf } from '../objectives/unseen.ts';
import type { EvidenceTable, SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { type ListSnapshots, refreshEvidence } from './read-evidence.ts';

export type EvidenceKeeper = {
  /** Looks into a repository, once at a time, and says whether it could. A failure is a fact like any other, and not thrown. */
  refresh(repository: string): Promise<boolean>;
  refreshAll(): Promise<void>;
  /** Those that were never looked into, and sooner than the others those that could not be: whoever has mended one wants to see it. Says whether there were any. */
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
  /** The state cannot be written. */
  onFailure(error: unknown): void;
};

/** Processes at a time. */
const mostLooks = 4;
const soonestMs = 60_000;

export function createEvidenceKeeper({
  evidence,
  facts,
  list,
  configuration,
  now,
  onChange,
  onFailure,
}: EvidenceKeeperOptions): EvidenceKeeper {
  const look = async (repository: string): Promise<boolean> => {
    try {
      const change = await refreshEvidence(evidence, repository, configuration().project, list);
      facts.set(`seen ${repository}`, { atMs: now() });
      facts.remove(`unseen ${repository}`);
      if (change.added + change.removed > 0) onChange(repository, change);
      return true;
    } catch (error) {
      try {
        const sinceMs = facts.get<Unseen>(`unseen ${repository}`)?.sinceMs ?? now();
        facts.set(`unseen ${repository}`, unseenOf(error, now(), sinceMs));
      } catch (unwritten) {
        onFailure(unwritten);
      }
      onChange(repository, { added: 0, removed: 0 });
      return false;
    }
  };

  /** By repository, what is looked at now, and what comes after it: a look that has begun may have missed what somebody asks for. */
  const underWay = new Map<string, { now: Promise<boolean>; next: Promise<boolean> | undefined }>();
  const refresh = (repository: string): Promise<boolean> => {
    const busy = underWay.get(repository);
    if (busy !== undefined) {
      busy.next ??= busy.now.then(() => refresh(repository));
      return busy.next;
    }
    const looking = look(repository).finally(() => underWay.delete(repository));
    underWay.set(repository, { now: looking, next: undefined });
    return looking;
  };

  const names = () => configuration().repositories.map(({ name }) => name);

  /** Side by side: one that does not answer takes a minute to give up. */
  const refreshThese = async (repositories: string[]) => {
    const rest = [...repositories];
    const take = async () => {
      for (let name = rest.shift(); name !== undefined; name = rest.shift()) await refresh(name);
    };
    await Promise.all(Array.from({ length: mostLooks }, take));
  };

  /** After a minute, and less and less often while it lasts. */
  const wantsLook = (repository: string): boolean => {
    const unseen = facts.get<Unseen>(`unseen ${repository}`);
    if (unseen === undefined) return facts.get(`seen ${repository}`) === undefined;
    const waitedMs = now() - unseen.atMs;
    return waitedMs < 0 || waitedMs >= Math.max(soonestMs, (unseen.atMs - unseen.sinceMs) / 2);
  };

  return {
    refresh,
    refreshAll: () => refreshThese(names()),
    async refreshUnseen() {
      const wanted = names().filter((name) => !underWay.has(name) && wantsLook(name));
      await refreshThese(wanted);
      return wanted.length > 0;
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
