import { type Alert, silenceFact } from '../../control/alerts/alert.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { AnswerOf } from '../contract/operations.ts';
import { type JsonHandler, requirePace, type Served } from './handlers.ts';
import { badCursor, fromCursor, toCursor } from './paging.ts';

export const listAlerts: JsonHandler<'listAlerts'> = ({ plane, now }, { query: { limit, cursor, state } }) => {
  const before = cursor === undefined ? undefined : alertOfCursor(plane, cursor);
  const page = { limit: limit + 1, ...(before === undefined ? {} : { before }) };
  const found = plane.alerts.list(state === undefined ? {} : { open: state === 'raised' }, page);
  const items = found.slice(0, limit).map((alert) => alertResource(plane, alert, now()));
  const last = items.at(-1);
  return { items, ...(found.length > limit && last !== undefined ? { next: toCursor(last.id) } : {}) };
};

export const getAlert: JsonHandler<'getAlert'> = ({ plane, now }, { parameters }) =>
  alertResource(plane, alertOf(plane, parameters.alert), now());

export const acknowledgeAlert: JsonHandler<'acknowledgeAlert'> = ({ plane, changes, now }, { parameters, body: { silenceMs }, caller }) => {
  const before = alertOf(plane, parameters.alert);
  const atMs = now();
  requirePace(changes, caller, atMs);
  const alert = plane.alerts.acknowledge(before.id, caller.name, atMs) ?? before;
  if (silenceMs !== undefined) {
    if (silenceMs === 0) plane.facts.remove(silenceFact(alert.key));
    else plane.facts.set(silenceFact(alert.key), { by: caller.name, untilMs: atMs + silenceMs });
  }
  plane.auditLog.add({ atMs, who: caller.name, what: 'alert-acknowledge', document: { alert: alert.id, silenceMs } });
  return alertResource(plane, alert, atMs);
};

/** @param alert raised or ended: lists of the table have no others, and `alertOf` finds no others. */
function alertResource({ facts }: Served['plane'], alert: Alert, nowMs: number): AnswerOf<'getAlert'> {
  const silence = facts.get<{ by: string; untilMs: number }>(silenceFact(alert.key));
  return {
    ...alert,
    state: alert.state as AnswerOf<'getAlert'>['state'],
    ...(silence !== undefined && silence.untilMs > nowMs ? { silenced: silence } : {}),
  };
}

function alertOf({ alerts }: Served['plane'], id: string): Alert {
  const alert = alerts.get(id);
  if (alert === undefined || alert.state === 'pending')
    throw new HoldfastError('resource-missing', `there is no alert ${JSON.stringify(id)}`, { remedy: 'run `holdfast alerts`' });
  return alert;
}

function alertOfCursor({ alerts }: Served['plane'], cursor: string): string {
  const id = fromCursor(cursor);
  if (alerts.get(id) === undefined) throw badCursor();
  return id;
}
