import { formatDuration } from '../../model/quantities.ts';
import type { AlertSubject, Notice } from '../alerts/alert.ts';
import type { NotificationConfiguration, NotificationEvent } from '../configuration/configuration.ts';
import type { ProjectAssessment } from '../objectives/assessment.ts';

/** Something that is told. */
export type News = {
  /** The same for the same thing, so that it waits once. */
  id: string;
  atMs: number;
  event: NotificationEvent | 'test';
  /** Of what is over: how it was told while it lasted. */
  toldAs?: NotificationEvent[];
  subject: AlertSubject;
  /** Stable name of what is wrong. */
  kind: string;
  message: string;
  remedy?: string;
  /** Of what is over: how long it lasted. */
  durationMs?: number;
};

/** All that is told at once. */
export type Message = {
  /** The same when it is sent again, because nobody knows whether it arrived. */
  id: string;
  project: string;
  atMs: number;
  /** The worst that it tells of. */
  condition: 'broken' | 'at-risk' | 'good';
  /** One line. */
  title: string;
  text: string;
  news: News[];
};

/** Errors can be long. */
const longestWords = 2_000;

/** What a change of an alert is to people. Undefined when there is nothing to say, as at the end of something that has no other end. */
export function newsOf({ event, alert }: Notice, atMs: number, isKnown: (subject: AlertSubject) => boolean): News | undefined {
  const { subject, kind } = alert;
  const [message, remedy] = [cut(alert.message, longestWords), cut(alert.remedy, longestWords)];
  const common = { id: `${alert.id} ${event}`, atMs, subject, kind };
  if (event !== 'ended') return { ...common, event: eventOf(kind, alert.condition), message, remedy };
  const known = isKnown(subject);
  if (!known && subject.kind === 'job') return undefined;
  const toldAs = [...new Set([alert.raisedAs ?? alert.worst, alert.worst])].map((condition) => eventOf(kind, condition));
  const durationMs = Math.max(0, (alert.quietSinceMs ?? atMs) - alert.firstSeenMs);
  return {
    ...common,
    event: 'recovered',
    toldAs,
    durationMs,
    message: known ? `over: ${message}` : `not in holdfast.yaml any more: ${message}`,
  };
}

function eventOf(kind: string, condition: 'at-risk' | 'broken'): NotificationEvent {
  if (kind === 'job-failed') return 'job-failed';
  return kind === 'configuration-refused' ? 'configuration' : condition;
}

/** Whether a notification takes a piece of news. */
export function wants(
  { name, on, volumes, criticality }: NotificationConfiguration,
  { event, toldAs, subject }: News,
  assessment: ProjectAssessment,
): boolean {
  if (event === 'test') return true;
  // It would not arrive.
  if (subject.kind === 'notification' && subject.name === name) return false;
  if (!on.includes(event)) return false;
  // Who was not told that it began is not told that it is over; unless ends are all that he wants.
  if (toldAs !== undefined && on.some((one) => one !== 'recovered' && one !== 'digest') && !toldAs.some((one) => on.includes(one)))
    return false;
  if (subject.kind !== 'volume') return true;
  if (volumes !== undefined && !volumes.includes(subject.name)) return false;
  const found = assessment.volumes.find(({ volume }) => volume === subject.name);
  return criticality === undefined || found === undefined || criticality.includes(found.criticality);
}

/** So many are written out. */
const mostLines = 30;
const longestLine = 600;
const longestTitle = 150;

/** Makes one message of news, the oldest first. `dropped`: so many were given up before. */
export function messageOf(project: string, news: News[], { id, atMs, dropped }: { id: string; atMs: number; dropped: number }): Message {
  const has = (event: News['event']) => news.some((one) => one.event === event);
  const isBad = has('at-risk') || has('job-failed') || has('configuration');
  const lines = news.slice(0, mostLines).map(lineOf);
  if (news.length > mostLines) lines.push(`and ${news.length - mostLines} more: see \`holdfast status\``);
  if (dropped > 0) lines.push(`${dropped} earlier ones could not be delivered, and were given up: see \`holdfast status\``);
  return {
    id,
    project,
    atMs,
    condition: has('broken') ? 'broken' : isBad ? 'at-risk' : 'good',
    title: cut(`[${project}] ${titleOf(news)}`, longestTitle),
    text: lines.join('\n'),
    news,
  };
}

function titleOf(news: readonly News[]): string {
  const [first] = news;
  if (news.length === 1 && first !== undefined) {
    return first.event === 'digest' || first.event === 'test'
      ? first.kind
      : `${words[first.event]}: ${nameOf(first.subject)}${oneLine(first.message)}`;
  }
  const counts = new Map<string, number>();
  for (const { event } of news) counts.set(words[event], (counts.get(words[event]) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} ${word}`).join(', ');
}

const words: Readonly<Record<News['event'], string>> = {
  broken: 'broken',
  'at-risk': 'at risk',
  recovered: 'recovered',
  'job-failed': 'job failed',
  configuration: 'configuration refused',
  digest: 'digest',
  test: 'test',
};

function lineOf({ event, subject, message, remedy, durationMs }: News): string {
  if (event === 'digest' || event === 'test') return message;
  const lasted = durationMs === undefined ? '' : ` (lasted ${formatDuration(durationMs)})`;
  const what = cut(`${words[event].toUpperCase()} ${nameOf(subject)}${oneLine(message)}${lasted}`, longestLine);
  return remedy === undefined ? what : `${what}\n  → ${cut(oneLine(remedy), longestLine)}`;
}

const nameOf = (subject: AlertSubject): string =>
  subject.kind === 'project' || subject.kind === 'notification' || subject.kind === 'job'
    ? ''
    : `${subject.kind} ${oneLine(subject.name)}: `;

/** Text from outside, in which nothing moves the cursor, breaks the line or changes the direction of writing. */
export const oneLine = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu, ' ')
    .trim();

export const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text);
