import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { Alert } from '../alerts/alert.ts';
import type { NotificationConfiguration } from '../configuration/configuration.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { ProjectAssessment } from '../objectives/assessment.ts';
import { instantsOf } from '../scheduling/instants.ts';
import type { Facts } from '../state/log-tables.ts';
import { type News, oneLine } from './message.ts';

type DigestInputs = { assessment: ProjectAssessment; alerts: readonly Alert[]; jobs: Pick<ControlPlane['jobs'], 'list'>; nowMs: number };

/** Digests of the daemon's past are remembered under this name. */
const digestFact = (name: string): string => `digest ${name}`;

/** The digest of a notification when it is time for one: of instants that were missed the newest counts, and the first one is yet to come. */
export function dueDigest({ name, on, digest }: NotificationConfiguration, facts: Facts, inputs: DigestInputs): News | undefined {
  if (!on.includes('digest')) return undefined;
  const dueMs = instantsOf({ kind: 'cron', ...digest }).atOrBefore(inputs.nowMs);
  if (dueMs === undefined) return undefined;
  const last = facts.get<{ dueMs: number }>(digestFact(name))?.dueMs;
  if (last !== undefined && last >= dueMs && last <= inputs.nowMs) return undefined;
  facts.set(digestFact(name), { dueMs });
  if (last === undefined) return undefined;
  const { title, text } = digestOf(inputs, Math.min(last, dueMs));
  return { id: `digest ${dueMs}`, atMs: inputs.nowMs, event: 'digest', subject: { kind: 'project' }, kind: title, message: text };
}

/** So many single things are named. */
const mostNamed = 20;
const mostJobs = 1_000;

function digestOf({ assessment, alerts, jobs, nowMs }: DigestInputs, sinceMs: number): { title: string; text: string } {
  const { volumes } = assessment;
  const count = (condition: string) => volumes.filter((volume) => volume.condition === condition).length;
  const counts = `${count('good')} of ${volumes.length} volumes good, ${count('at-risk')} at risk, ${count('broken')} broken`;
  const since = jobs.list({}, { limit: mostJobs }).filter(({ endedMs }) => endedMs !== undefined && endedMs >= sinceMs);
  const failed = since.filter(({ state }) => state === 'failed' || state === 'lost').length;
  const addedBytes = since.flatMap(({ result }) => result?.snapshots ?? []).reduce((sum, snapshot) => sum + snapshot.addedBytes, 0);
  const open = alerts.filter(({ state }) => state === 'raised');
  const lines = [
    counts,
    `${since.length}${since.length === mostJobs ? ' or more' : ''} jobs since ${new Date(sinceMs).toISOString().slice(0, 16)}Z, ${failed} failed; ${formatSize(addedBytes)} new`,
    open.length === 0 ? 'no open alerts' : `open alerts: ${open.length}`,
    ...open.slice(0, mostNamed).map(({ condition, message, firstSeenMs, acknowledged }) => {
      const taken = acknowledged === undefined ? '' : `, acknowledged by ${oneLine(acknowledged.by)}`;
      return `  ${condition} for ${formatDuration(Math.max(0, nowMs - firstSeenMs))}${taken}: ${oneLine(message)}`;
    }),
    ...(open.length > mostNamed ? [`  and ${open.length - mostNamed} more`] : []),
  ];
  return { title: `digest: ${counts}`, text: lines.join('\n') };
}
