import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJobLogText } from './job-log.ts';
import { formatLocalTime } from './units.ts';

const atMs = Date.UTC(2026, 0, 31, 2, 30, 5);

test('lines of a job are told with time and level, without progress; what is no event is shown as it is', () => {
  const text = createJobLogText();
  const of = (document: object) => text(JSON.stringify(document), atMs);
  const at = formatLocalTime(atMs, true);
  assert.match(at, /^\d{4}-\d\d-\d\d \d\d:\d\d:05$/);
  assert.deepEqual(of({ event: 'run-started', operation: 'backup', run: 'r', volumes: ['uploads'] }), [`${at} info    Backing up uploads`]);
  assert.deepEqual(of({ event: 'progress', volume: 'uploads', filesDone: 1, bytesDone: 1 }), []);
  assert.deepEqual(of({ event: 'message', level: 'warning', message: 'late' }), [`${at} warning late`]);
  assert.deepEqual(of({ event: 'warning', volume: 'uploads', warning: 'odd', count: 2 }), [`${at} warning uploads: odd (2 times)`]);
  const error = { code: 'storage', message: 'connect ECONNREFUSED', remedy: 'see the cause' };
  const [first, second] = of({ event: 'error', error });
  assert.match(first ?? '', /:05 error {3}.*ECONNREFUSED/);
  assert.match(second ?? '', /:05 error {3}.*see the cause/);
  assert.deepEqual(of({ event: 'drilled', volume: 'uploads', durationMs: 2_000, verified: true }), [
    `${at} info    uploads: brought back and verified in 2s`,
  ]);
  assert.deepEqual(of({ volume: 'uploads', usedBytes: 1 }), [`${at} info    {"volume":"uploads","usedBytes":1}`]);
  assert.deepEqual(text('{"event":"snapshot","volume":***', atMs), [`${at} info    {"event":"snapshot","volume":***`]);
  assert.deepEqual(text('{"event":"snapshot"}', atMs), [`${at} info    {"event":"snapshot"}`]);
  assert.equal(
    text(JSON.stringify({ event: 'message', level: 'note', message: 'a\u001b[2Jb' }), atMs)
      .join('')
      .includes('\u001b'),
    false,
  );
});
