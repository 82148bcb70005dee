import type { Configuration } from '../configuration/configuration.ts';
import type { JobSpec } from '../jobs/job.ts';
import type { EvidenceTable } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { type ListSnapshots, refreshEvidence } from './read-evidence.ts';

export type EvidenceKeeper = {
  /** Looks into a repository. A failure is a fact like any other, and not thrown. */
  refresh(repository: string): Promise<void>;
  refreshAll(): Promise<void>;
  /** Until when scheduled backups of all its volumes are there: 0 when one was never backed up. */
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
};

export function createEvidenceKeeper({ evidence, facts, list, configuration, now, onChange }: EvidenceKeeperOptions): EvidenceKeeper {
  const refresh = async (repository: string) => {
    try {
      const change = await refreshEvidence(evidence, repository, configuration().project, list);
      facts.set(`seen ${repository}`, { atMs: now() });
      facts.remove(`unseen ${repository}`);
      if (change.added + change.removed > 0) onChange(repository, change);
    } catch (error) {
      facts.set(`unseen ${repository}`, { atMs: now(), message: error instanceof Error ? error.message : String(error) });
      onChange(repository, { added: 0, removed: 0 });
    }
  };
  return {
    refresh,
    async refreshAll() {
      for (const { name } of configuration().repositories) await refresh(name);
    },
    backedUpUntilMs({ repository, volumes = configuration().volumes.map(({ name }) => name) }) {
      const newest = volumes.map((volume) => {
        const scheduled = evidence.list(volume).filter((one) => one.repository === repository && one.class === 'scheduled');
        return scheduled.at(-1)?.timeMs ?? 0;
      });
      return Math.min(...newest);
    },
  };
}
