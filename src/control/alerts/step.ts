import type { Alert, Notice, Observed } from './alert.ts';

/** How long conditions may come and go before somebody is told. */
export type Damping = {
  /** So long something is at risk before that is told; what is broken is told at once. */
  atRiskMs: number;
  /** So long something is not seen before it is over. */
  quietMs: number;
};

export const defaultDamping: Damping = { atRiskMs: 10 * 60_000, quietMs: 10 * 60_000 };

/** Somebody wants to hear nothing. */
const silent = 'silent';

/** What changes: alerts to be written, those to be forgotten, for they were never told, and what is to be told. */
export type Step = { changed: Alert[]; dropped: Alert[]; notices: Notice[] };

/**
 * What becomes of the open alerts when they are compared with what is seen now. An episode is told of once when it is raised, once more if it
 * worsens, and once when it has ended.
 * @param isSilenced of such keys nothing begins and nothing worsens until the silence is over; what is wrong then is told then.
 */
export function step(
  open: readonly Alert[],
  observed: readonly Observed[],
  nowMs: number,
  damping: Damping,
  isSilenced: (key: string) => boolean = () => false,
): Step {
  const out: Step = { changed: [], dropped: [], notices: [] };
  const seen = new Map(observed.map((one) => [one.key, one]));
  for (const alert of open) {
    const now = seen.get(alert.key);
    seen.delete(alert.key);
    if (now === undefined) settleUnseen(alert, nowMs, damping, out);
    else settleSeen(alert, now, nowMs, isSilenced(now.key) ? silent : damping, out);
  }
  for (const fresh of seen.values()) settleSeen(begun(fresh, nowMs), fresh, nowMs, isSilenced(fresh.key) ? silent : damping, out);
  return out;
}

const begun = (observed: Observed, nowMs: number): Alert => ({
  ...observed,
  id: `${observed.key}@${nowMs}`,
  state: 'pending',
  worst: observed.condition,
  raisedAs: undefined,
  firstSeenMs: nowMs,
  raisedMs: undefined,
  quietSinceMs: undefined,
  endedMs: undefined,
  acknowledged: undefined,
});

function settleSeen(alert: Alert, observed: Observed, nowMs: number, damping: Damping | typeof silent, out: Step): void {
  const isBroken = observed.condition === 'broken';
  const worsens = isBroken && alert.worst !== 'broken';
  // A clock that was put back does not keep it waiting.
  const firstSeenMs = Math.min(alert.firstSeenMs, nowMs);
  const worst = isBroken && damping !== silent ? 'broken' : alert.worst;
  const current: Alert = { ...alert, ...observed, firstSeenMs, worst, quietSinceMs: undefined };
  if (damping === silent) {
    if (alert.firstSeenMs === nowMs || JSON.stringify(current) !== JSON.stringify(alert)) out.changed.push(current);
  } else if (alert.state === 'pending' && (isBroken || nowMs - firstSeenMs >= damping.atRiskMs)) {
    const raised: Alert = { ...current, state: 'raised', raisedAs: observed.condition, raisedMs: nowMs };
    out.changed.push(raised);
    out.notices.push({ event: 'raised', alert: raised });
  } else if (alert.state === 'raised' && worsens) {
    // Who has acknowledged something did not acknowledge this.
    const worsened: Alert = { ...current, acknowledged: undefined };
    out.changed.push(worsened);
    out.notices.push({ event: 'worsened', alert: worsened });
  } else if (alert.firstSeenMs === nowMs || JSON.stringify(current) !== JSON.stringify(alert)) out.changed.push(current);
}

function settleUnseen(alert: Alert, nowMs: number, { quietMs }: Damping, out: Step): void {
  if (alert.state === 'pending') {
    out.dropped.push(alert);
    return;
  }
  const quietSinceMs = Math.min(alert.quietSinceMs ?? nowMs, nowMs);
  if (nowMs - quietSinceMs < quietMs) {
    if (quietSinceMs !== alert.quietSinceMs) out.changed.push({ ...alert, quietSinceMs });
    return;
  }
  const ended: Alert = { ...alert, state: 'ended', quietSinceMs, endedMs: nowMs };
  out.changed.push(ended);
  out.notices.push({ event: 'ended', alert: ended });
}
