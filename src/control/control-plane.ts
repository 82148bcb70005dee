import type { Configuration } from './configuration/configuration.ts';
import type { Job, JobProgress, JobSpec } from './jobs/job.ts';
import type { ProjectAssessment } from './objectives/assessment.ts';
import type { AlertTable } from './state/alert-table.ts';
import type { EvidencePages } from './state/evidence-pages.ts';
import type { EvidenceTable } from './state/evidence-table.ts';
import type { JobTable } from './state/job-table.ts';
import type { AuditEntry, AuditLog, Facts, UsageTable } from './state/log-tables.ts';

/** What happens in the control plane, as it happens. */
export type ControlEvent =
  | { event: 'job'; job: Job; progress: JobProgress | undefined }
  /** A job's log has new lines. */
  | { event: 'job-log'; job: string }
  /** Snapshots came or went. */
  | { event: 'evidence'; repository: string; added: number; removed: number }
  | { event: 'assessment'; assessment: ProjectAssessment }
  /** Somebody did something: a new entry of the audit log. */
  | { event: 'audit'; entry: Omit<AuditEntry, 'number'> }
  | { event: 'configuration'; accepted: boolean; message: string };

/** A running daemon, as the API, metrics and notifications see it: queries on what is known, and the few things that can be asked of it. */
export type ControlPlane = {
  version: string;
  startedMs: number;
  configuration(): Configuration;
  /** What is known now; kept for some seconds, so that asking often costs nothing. */
  assess(): ProjectAssessment;
  jobs: Pick<JobTable, 'get' | 'list' | 'open' | 'readLog' | 'lastEnded'>;
  progress(job: string): JobProgress | undefined;
  /**
   * Queues what somebody asks for, before all that comes by itself unless `priority` says otherwise.
   * @throws `usage` or `unknown-volume` when the specification names what is not in the configuration, `too-many-requests` when very many wait.
   */
  start(spec: JobSpec, startedBy: string, priority?: number): Job;
  /** Undefined when there is no such job. */
  cancel(job: string): Job | undefined;
  /** Until when quiet hours keep a job that waits from beginning; undefined when they do not. */
  heldUntilMs(job: Job): number | undefined;
  /** What comes next. */
  upcoming(): { task: string; spec: JobSpec; dueMs: number }[];
  evidence: Pick<EvidenceTable, 'list' | 'counts'> & EvidencePages;
  usage: Pick<UsageTable, 'list'>;
  auditLog: Pick<AuditLog, 'list' | 'add'>;
  facts: Facts;
  /** What is and was wrong, and who has taken note of it. */
  alerts: Pick<AlertTable, 'list' | 'get' | 'acknowledge'>;
  /** Size of the state, without its write-ahead log. */
  stateBytes(): number;
  /**
   * Runs a reading command of this program (`ls`, `diff`, `dump`), in a process of its own, and gives what it writes to stdout.
   * @throws what the command says went wrong, as an error of the catalogue.
   */
  read(words: readonly string[], signal: AbortSignal): AsyncIterable<Buffer>;
  /** Returns how to end it. Listeners must not throw. */
  subscribe(listener: (event: ControlEvent) => void): () => void;
};
