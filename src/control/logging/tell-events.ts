import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { ControlEvent } from '../control-plane.ts';
import { isOver, type Job, type JobSpec, type JobState, repositoriesOf } from '../jobs/job.ts';
import type { Condition, ProjectAssessment, Reason } from '../objectives/assessment.ts';
import type { Log, Severity } from './log.ts';

/** Writes what happens in the control plane into a log: each change once, also when it is told of again and again. */
export function tellEvents(log: Log): (event: ControlEvent) => void {
  const tellJob = jobTeller(log);
  const tellAssessment = conditionTeller(log);
  return (event) => {
    switch (event.event) {
      case 'job':
        return tellJob(event.job);
      case 'assessment':
        return tellAssessment(event.assessment);
      case 'configuration':
        return log({
          severity: event.accepted ? 'info' : 'error',
          eventName: 'holdfast.configuration',
          body: event.accepted ? event.message : `the configuration stays as it was: ${event.message}`,
          attributes: {},
        });
      case 'evidence':
        if (event.added + event.removed === 0) return;
        return log({
          severity: 'info',
          eventName: 'holdfast.evidence',
          body: `repository ${event.repository}: ${event.added} snapshots came, ${event.removed} went`,
          attributes: { 'holdfast.repository': event.repository, 'holdfast.added': event.added, 'holdfast.removed': event.removed },
        });
      case 'audit': {
        const { who, what, document } = event.entry;
        return log({
          severity: 'info',
          eventName: 'holdfast.audit',
          body: `${who}: ${what}`,
          attributes: { 'enduser.id': who, 'holdfast.audit.what': what, 'holdfast.audit.document': JSON.stringify(document) },
        });
      }
      default:
    }
  };
}

const severities: Readonly<Record<JobState, Severity>> = {
  queued: 'info',
  running: 'info',
  succeeded: 'info',
  incomplete: 'warn',
  failed: 'error',
  cancelled: 'warn',
  lost: 'warn',
};

function jobTeller(log: Log): (job: Job) => void {
  /** Of jobs that are not over. */
  const told = new Map<string, string>();
  return (job) => {
    const change = `${job.state} ${job.attempt} ${job.unsettled !== undefined}`;
    if (told.get(job.id) === change) return;
    if (isOver(job.state)) told.delete(job.id);
    else told.set(job.id, change);
    log({
      severity: job.state === 'queued' && job.attempt > 1 ? 'warn' : severities[job.state],
      eventName: 'holdfast.job',
      body: `${nameOf(job.spec)}: ${stateOf(job)}`,
      attributes: {
        'holdfast.job.id': job.id,
        'holdfast.job.kind': job.spec.kind,
        'holdfast.job.state': job.state,
        'holdfast.job.attempt': job.attempt,
        'holdfast.job.started_by': job.startedBy,
        'holdfast.job.duration_ms': isOver(job.state) ? durationOf(job) : undefined,
        'holdfast.repository': repositoriesOf(job.spec).at(-1)?.name,
        'error.type': job.error?.code,
      },
      job,
    });
  };
}

function nameOf(spec: JobSpec): string {
  const of = 'volumes' in spec && spec.volumes !== undefined ? ` of ${spec.volumes.join(', ')}` : '';
  switch (spec.kind) {
    case 'copy':
      return `copy from ${spec.from} to ${spec.to}`;
    case 'usage':
      return 'measuring volumes';
    case 'backup':
      return `backup${of} to ${spec.repository}`;
    case 'check':
      return `check of ${spec.repository} (part ${spec.part} of ${spec.parts})`;
    default:
      return `${spec.kind}${of} in ${spec.repository}`;
  }
}

const durationOf = ({ startedMs, endedMs }: Job): number | undefined =>
  startedMs === undefined || endedMs === undefined ? undefined : Math.max(0, endedMs - startedMs);

function stateOf(job: Job): string {
  const { state, attempt, attempts, startedBy, error, result } = job;
  if (state === 'queued' && job.unsettled !== undefined) return 'may have been done: it waits until its repository says so';
  if (state === 'queued') return attempt > 1 ? `attempt ${attempt} of ${attempts} waits` : `queued by ${startedBy}`;
  if (state === 'running') return 'began';
  const durationMs = durationOf(job);
  const after = durationMs === undefined ? '' : ` after ${formatDuration(durationMs)}`;
  const snapshots = result?.snapshots ?? [];
  const added = snapshots.reduce((sum, { addedBytes }) => sum + addedBytes, 0);
  const made =
    snapshots.length === 0 ? '' : `; ${snapshots.length} ${snapshots.length === 1 ? 'snapshot' : 'snapshots'}, ${formatSize(added)} added`;
  const why = error === undefined ? '' : `: ${error.message}; ${error.remedy}`;
  return `${state}${after}${made}${why}`;
}

/** A subject and what is wrong with it, as it was not told before. */
type Change = { subject: string; name: string; labels: Record<string, string>; reason: Reason | undefined };

/** More that are of a kind are told in one line: a daemon that begins, or a repository that cannot be reached, says something of all volumes. */
const mostOfAKind = 10;
/** So many of them are named. */
const named = 3;

function conditionTeller(log: Log): (assessment: ProjectAssessment) => void {
  /** What is wrong with what, as it was told. */
  let told = new Map<string, Condition>();
  return ({ project, volumes, repositories, reasons }) => {
    const now = new Map<string, Condition>();
    const changesOf = (subject: string, name: string, labels: Record<string, string>, condition: Condition, wrong: readonly Reason[]) => {
      const changes: Change[] = [];
      for (const reason of wrong) {
        const key = `${subject} ${reason.kind}`;
        now.set(key, reason.condition);
        if (told.get(key) !== reason.condition) changes.push({ subject, name, labels, reason });
      }
      now.set(subject, condition);
      if (condition === 'good' && (told.get(subject) ?? 'good') !== 'good') changes.push({ subject, name, labels, reason: undefined });
      return changes;
    };
    const ofVolumes = volumes.flatMap(({ volume, condition, reasons: wrong }) =>
      changesOf(`volume ${volume}`, volume, { 'holdfast.volume': volume }, condition, wrong),
    );
    for (const alike of Map.groupBy(ofVolumes, ({ reason }) => `${reason?.kind} ${reason?.condition}`).values()) tellAlike(log, alike);
    for (const { repository, condition, reasons: wrong } of repositories)
      for (const change of changesOf(`repository ${repository}`, repository, { 'holdfast.repository': repository }, condition, wrong))
        tellChange(log, change);
    // Its condition is the worst of all: it is good again by itself when no reason of its own is left.
    for (const change of changesOf(`project ${project}`, project, {}, reasons.length === 0 ? 'good' : 'at-risk', reasons))
      tellChange(log, change);
    told = now;
  };
}

function tellChange(log: Log, { subject, labels, reason }: Change): void {
  log({
    severity: severityOf(reason),
    eventName: 'holdfast.condition',
    body: reason === undefined ? `${subject} is good again` : `${subject}: ${reason.message}; ${reason.remedy}`,
    attributes: { ...labels, ...attributesOf(reason) },
  });
}

/** What is the same about some volumes. */
function tellAlike(log: Log, changes: readonly Change[]): void {
  const reason = changes[0]?.reason;
  if (changes.length <= mostOfAKind) {
    for (const change of changes) tellChange(log, change);
    return;
  }
  const names = changes.slice(0, named).map(({ name }) => name);
  const which = `${names.join(', ')} and ${changes.length - named} more`;
  log({
    severity: severityOf(reason),
    eventName: 'holdfast.condition',
    body:
      reason === undefined
        ? `${changes.length} volumes are good again: ${which}`
        : `${changes.length} volumes are ${reason.condition} (${reason.kind}): ${which}; of the first: ${reason.message}; holdfast status`,
    attributes: { 'holdfast.volumes': changes.length, ...attributesOf(reason) },
  });
}

const severityOf = (reason: Reason | undefined): Severity =>
  reason === undefined ? 'info' : reason.condition === 'broken' ? 'error' : 'warn';

const attributesOf = (reason: Reason | undefined): Record<string, string> =>
  reason === undefined ? { 'holdfast.condition': 'good' } : { 'holdfast.condition': reason.condition, 'holdfast.reason': reason.kind };
