import type { Configuration } from '../configuration/configuration.ts';
import type { EvidenceTable } from '../state/evidence-table.ts';
import type { JobTable } from '../state/job-table.ts';
import type { Facts, UsageTable } from '../state/log-tables.ts';

/** All that an assessment is made of. */
export type AssessmentInputs = {
  configuration: Configuration;
  nowMs: number;
  /** When the daemon began. */
  startedMs: number;
  evidence: Pick<EvidenceTable, 'list'>;
  jobs: Pick<JobTable, 'open' | 'list' | 'lastEnded'>;
  usage: Pick<UsageTable, 'list'>;
  /** `seen REPOSITORY`: `{ atMs }`, `unseen REPOSITORY`: `{ atMs, message }`, of the last time that its snapshots were, or could not be, listed. */
  facts: Facts;
};
