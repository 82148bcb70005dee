import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job } from '../jobs/job.ts';
import type { ProjectAssessment, Reason } from '../objectives/assessment.ts';
import { createJsonLog, type LogRecord, traceOf } from './log.ts';
import { tellEvents } from './tell-events.ts';

const job: Job = {
  id: '20260101T000000000Z-00000000',
  spec: { kind: 'backup', repository: 'local', class: 'scheduled' },
  state: 'queued',
  priority: 6,
  schedule: 'schedule hourly',
  dueMs: 0,
  startedBy: 'schedule',
  queuedMs: 0,
  notBeforeMs: 0,
  deadlineMs: 1e6,
  startedMs: undefined,
  endedMs: undefined,
  attempt: 1,
  attempts: 3,
  process: undefined,
  exitCode: undefined,
  error: undefined,
  result: undefined,
};

/** A JSON log, and its lines, parsed. */
function aLog(least: 'debug' | 'warn' = 'debug', redact = (text: string) => text) {
  const written: string[] = [];
  const log = createJsonLog({
    write: (line) => written.push(line),
    redact,
    least,
    resource: { 'service.name': 'holdfast' },
    now: () => new Date('2026-03-01T12:00:00.5Z'),
  });
  return { log, written, lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

/** What is told of events, without a log's form. */
function aTeller() {
  const told: LogRecord[] = [];
  return { told, tell: tellEvents((record) => told.push(record)) };
}

test('a line has the fields of the data model, and no others', () => {
  const { log, written, lines } = aLog();
  tellEvents(log)({ event: 'job', job: { ...job, state: 'running' }, progress: undefined });
  assert.match(written[0] as string, /^\{.*\}\n$/);
  assert.deepEqual(lines(), [
    {
      severityText: 'INFO',
      severityNumber: 9,
      timestamp: '2026-03-01T12:00:00.500Z',
      resource: { 'service.name': 'holdfast' },
      eventName: 'holdfast.job',
      attributes: {
        'holdfast.job.id': job.id,
        'holdfast.job.kind': 'backup',
        'holdfast.job.state': 'running',
        'holdfast.job.attempt': 1,
        'holdfast.job.started_by': 'schedule',
        'holdfast.repository': 'local',
      },
      ...traceOf(job),
      body: 'backup to local: began',
    },
  ]);
});

test('severities are numbered as in the data model, and those below the least are left out', () => {
  for (const [severity, number] of Object.entries({ debug: 5, info: 9, warn: 13, error: 17 } as const)) {
    const { log, lines } = aLog();
    log({ severity: severity as LogRecord['severity'], eventName: 'holdfast.x', body: 'b', attributes: {} });
    assert.equal(lines()[0]?.severityNumber, number);
  }
  const { log, written } = aLog('warn');
  log({ severity: 'info', eventName: 'holdfast.x', body: 'b', attributes: {} });
  assert.deepEqual(written, []);
});

test('attempts of a job share its trace, not the span', () => {
  const [first, second, other] = [traceOf(job), traceOf({ ...job, attempt: 2 }), traceOf({ ...job, id: 'other' })];
  assert.match(first.traceId, /^[0-9a-f]{32}$/);
  assert.match(first.spanId, /^[0-9a-f]{16}$/);
  assert.equal(first.traceId, second.traceId);
  assert.notEqual(first.spanId, second.spanId);
  assert.notEqual(first.traceId, other.traceId);
});

test('secrets are taken out of text and attributes, and a line stays JSON whatever a secret looks like', () => {
  const { log, written, lines } = aLog('debug', (text) => text.replaceAll('2026', '***'));
  log({ severity: 'error', eventName: 'holdfast.x', body: 'it was 2026\n', attributes: { word: 'of 2026', count: 2026 } });
  assert.doesNotMatch(written[0] as string, /was 2026|of 2026/);
  assert.equal(lines()[0]?.body, 'it was ***\n');
});

test('each change of a job is told once, progress not at all', () => {
  const { told, tell } = aTeller();
  const states: Partial<Job>[] = [
    { state: 'queued' },
    { state: 'running', startedMs: 1_000 },
    { state: 'running', startedMs: 1_000 },
    { state: 'queued', attempt: 2 },
    { state: 'running', attempt: 2, startedMs: 1_000 },
    {
      state: 'failed',
      attempt: 2,
      startedMs: 1_000,
      endedMs: 4_000,
      error: { code: 'storage-full', message: 'no room', remedy: 'make room' },
    },
  ];
  for (const change of states) tell({ event: 'job', job: { ...job, ...change }, progress: undefined });
  assert.deepEqual(
    told.map(({ severity, body }) => `${severity} ${body}`),
    [
      'info backup to local: queued by schedule',
      'info backup to local: began',
      'warn backup to local: attempt 2 of 3 waits',
      'info backup to local: began',
      'error backup to local: failed after 3s: no room; make room',
    ],
  );
  assert.equal(told.at(-1)?.attributes['error.type'], 'storage-full');
});

test('what is wrong is told when it begins, changes, and is over; not in between', () => {
  const { told, tell } = aTeller();
  const late: Reason = { kind: 'rpo-at-risk', condition: 'at-risk', message: 'late', remedy: 'back up' };
  const breached: Reason = { kind: 'rpo-breached', condition: 'broken', message: 'too late', remedy: 'back up' };
  for (const reasons of [[], [late], [late], [breached], [], []]) {
    const condition = reasons[0]?.condition ?? 'good';
    const repository = { repository: 'r', condition: 'good', reasons: [] };
    const assessment = { project: 'p', condition, volumes: [{ volume: 'v', condition, reasons }], repositories: [repository], reasons: [] };
    tell({ event: 'assessment', assessment: assessment as unknown as ProjectAssessment });
  }
  assert.deepEqual(
    told.map(({ severity, body }) => `${severity} ${body}`),
    ['warn volume v: late; back up', 'error volume v: too late; back up', 'info volume v is good again'],
  );
});

test('a configuration that is refused is an error; what somebody did is told with who did it', () => {
  const { told, tell } = aTeller();
  tell({ event: 'configuration', accepted: false, message: 'line 3' });
  tell({ event: 'audit', entry: { atMs: 0, who: 'ci', what: 'job.start', document: { kind: 'backup' } } });
  tell({ event: 'evidence', repository: 'r', added: 0, removed: 0 });
  assert.deepEqual(
    told.map(({ severity, eventName }) => `${severity} ${eventName}`),
    ['error holdfast.configuration', 'info holdfast.audit'],
  );
  assert.equal(told[1]?.attributes['enduser.id'], 'ci');
});

test('what is the same of more than ten volumes is one line; of fewer, each has its own', () => {
  const never: Reason = { kind: 'never-backed-up', condition: 'broken', message: 'there is no snapshot of it', remedy: 'holdfast backup' };
  const { told, tell } = aTeller();
  const assessed = (count: number, reasons: Reason[], all = 1_000) => {
    const volumes = Array.from({ length: all }, (_, i) => {
      const own = i < count ? reasons : [];
      return { volume: `v${i}`, condition: own[0]?.condition ?? 'good', reasons: own };
    });
    const assessment = { project: 'p', condition: 'good', volumes, repositories: [], reasons: [] };
    tell({ event: 'assessment', assessment: assessment as unknown as ProjectAssessment });
    return told.splice(0).map(({ severity, body, attributes }) => [severity, body, attributes['holdfast.volumes'] ?? 1]);
  };
  assert.deepEqual(assessed(1_000, [never]), [
    [
      'error',
      '1000 volumes are broken (never-backed-up): v0, v1, v2 and 997 more; of the first: there is no snapshot of it; holdfast status',
      1_000,
    ],
  ]);
  assert.deepEqual(assessed(1_000, [never]), []);
  assert.deepEqual(assessed(2, [never]), [['info', '998 volumes are good again: v2, v3, v4 and 995 more', 998]]);
  assert.deepEqual(
    assessed(0, []).map(([, body]) => body),
    ['volume v0 is good again', 'volume v1 is good again'],
  );
  assert.equal(assessed(10, [never]).length, 10);
});
