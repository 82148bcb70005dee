import type { Configuration } from '../configuration/configuration.ts';
import type { JobSpec } from '../jobs/job.ts';
import type { EvidenceTable, SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { type ListSnapshots, refreshEvidence } from './read-evidence.ts';

export type EvidenceKeeper = {
  /** Looks into a repository, once at a time. A failure is a fact like any other, and not thrown. */
  refresh(repository: string): Promise<void>;
  refreshAll(): Promise<void>;
  /** What a repository that was looked into just now holds of runs since an instant; what is known of it, when it cannot be. */
  since(repository: string, sinceMs: number): Promise<SnapshotEvidence[]>;
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

export function createEvidenceKeeper({
  evidence,
  facts,
  list,
  configuration,
  now,
  onChange,
  onFailure,
}: EvidenceKeeperOptions): EvidenceKeeper {
  const look = async (repository: string) => {
    try {
      const change = await refreshEvidence(evidence, repository, configuration().project, list);
      facts.set(`seen ${repository}`, { atMs: now() });
      facts.remove(`unseen ${repository}`);
      if (change.added + change.removed > 0) onChange(repository, change);
    } catch (error) {
      try {
        facts.set(`unseen ${repository}`, { atMs: now(), message: error instanceof Error ? error.message : String(error) });
      } catch (unwritten) {
        onFailure(unwritten);
      }
      onChange(repository, { added: 0, removed: 0 });
    }
  };

  /** By repository, what is looked at now, and what comes after it: a look that has begun may have missed what somebody asks for. */
  const underWay = new Map<string, { now: Promise<void>; next: Promise<void> | undefined }>();
  const refresh = (repository: string): Promise<void> => {
    const busy = underWay.get(repository);
    if (busy !== undefined) {
      busy.next ??= busy.now.then(() => refresh(repository));
      return busy.next;
    }
    const looking = look(repository).finally(() => underWay.delete(repository));
    underWay.set(repository, { now: looking, next: undefined });
    return looking;
  };

  return {
    refresh,
    async refreshAll() {
      for (const { name } of configuration().repositories) await refresh(name);
    },
    async since(repository, sinceMs) {
      await refresh(repository);
      return evidence.list().filter((one) => one.repository === repository && one.timeMs >= sinceMs);
    },
    backedUpUntilMs({ repository, volumes = configuration().volumes.map(({ name }) => name) }) {
      // Those of a clock that was wrong say nothing of what is due.
      const counts = (one: SnapshotEvidence) => one.repository === repository && one.class === 'scheduled' && one.timeMs <= now();
      return Math.min(...volumes.map((volume) => evidence.list(volume).findLast(counts)?.timeMs ?? Number.NEGATIVE_INFINITY));
    },
  };
}
