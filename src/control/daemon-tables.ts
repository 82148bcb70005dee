/** What a daemon reads from and writes to its state, which may be on a full disk: it goes on by what it holds in memory. */
import type { ControlEvent } from './control-plane.ts';
import { steadyJobTable } from './jobs/steady-job-table.ts';
import { createEvidenceTable } from './state/evidence-table.ts';
import { createJobTable } from './state/job-table.ts';
import { createAuditLog, createFacts, createUsageTable } from './state/log-tables.ts';
import type { State } from './state/state.ts';
import { steadyFacts } from './state/steady-facts.ts';

export type DaemonTables = ReturnType<typeof tablesOf>;

const keptJobs = 100;
const usageInFullMs = 14 * 86_400_000;
const logsInFullMs = 14 * 86_400_000;
/** Pages at a time, of 4 KiB: all else waits meanwhile. */
const mostFreed = 512;

/** @param onFailure told of what the state cannot take. */
export function tablesOf(state: State, emit: (event: ControlEvent) => void, onFailure: (error: unknown) => void) {
  const auditLog = createAuditLog(state);
  return {
    state,
    jobs: steadyJobTable(createJobTable(state), onFailure),
    evidence: createEvidenceTable(state, onFailure),
    usage: createUsageTable(state),
    auditLog: {
      ...auditLog,
      add(entry: Parameters<typeof auditLog.add>[0]) {
        auditLog.add(entry);
        emit({ event: 'audit', entry });
      },
    },
    facts: steadyFacts(createFacts(state), onFailure),
  };
}

/** History doesn't grow without bounds. */
export function keepSmall({ state, jobs, auditLog, usage }: DaemonTables, historyMs: number, nowMs: number): void {
  jobs.removeOlder(nowMs - historyMs, keptJobs);
  jobs.removeLogs(nowMs - logsInFullMs);
  auditLog.removeOlder(nowMs - historyMs);
  usage.thin(nowMs - usageInFullMs);
  usage.removeOlder(nowMs - historyMs);
  state.database.exec(`PRAGMA incremental_vacuum(${mostFreed})`);
}
