import assert from 'node:assert/strict';
import { test } from 'node:test';
import { archiveTime, timeInName } from './archive-time.ts';
import { exportedTime } from './exported-time.ts';

const local = (...parts: [number, number, number, number?, number?, number?]) =>
  new Date(parts[0], parts[1] - 1, ...(parts.slice(2) as [number])).getTime();

test('times that names of archives hold', () => {
  for (const [name, ms, dayOnly] of [
    ['backup-2026-01-31.tar.gz', local(2026, 1, 31), true],
    ['backup-2026-01-31T02-30-05.tar.gz', local(2026, 1, 31, 2, 30, 5), false],
    ['20260131_0230.tgz', local(2026, 1, 31, 2, 30), false],
    ['20260131023005.tar', local(2026, 1, 31, 2, 30, 5), false],
    ['x_2026_01_31.tar', local(2026, 1, 31), true],
    ['vol-20260131T023005Z.tar.zst', Date.UTC(2026, 0, 31, 2, 30, 5), false],
  ] as const)
    assert.deepEqual(timeInName(name), { ms, dayOnly }, name);
  for (const name of ['data.tar.gz', 'v2026.tar', '2026-13-01.tar', '2026-02-30.tar', '120260131.tar', '1769826600.tar'])
    assert.equal(timeInName(name), undefined, name);
});

test('the time of an archive, and where it comes from', () => {
  const nowMs = local(2026, 6, 1);
  const newestEntryMs = local(2026, 1, 31, 12);
  const of = (hints: object) => archiveTime({ fileName: undefined, fileTimeMs: undefined, newestEntryMs: undefined, nowMs, ...hints }).ms;
  assert.equal(of({ fileName: 'a-2026-01-30T10-00.tar', newestEntryMs }), local(2026, 1, 30, 10));
  assert.equal(of({ fileName: 'a-2026-01-31.tar', newestEntryMs }), newestEntryMs);
  assert.equal(of({ fileName: 'a-2026-01-30.tar', newestEntryMs }), local(2026, 1, 30));
  assert.equal(of({ fileName: 'a-2027-01-30.tar', newestEntryMs, fileTimeMs: 5 }), newestEntryMs);
  assert.equal(of({ fileName: 'a.tar', fileTimeMs: local(2026, 3, 1) }), local(2026, 3, 1));
  assert.equal(of({ fileTimeMs: local(2026, 7, 1) }), nowMs);
});

test('the file of an export is believed as far as it makes sense', () => {
  const now = Date.parse('2026-06-01T00:00:00Z');
  const file = (...times: unknown[]) => JSON.stringify({ format: 'holdfast-export', volumes: times.map((time) => ({ time })) });
  assert.equal(
    exportedTime(file('2026-01-01T00:00:00Z', '2026-02-01T00:00:00.5Z', '2027-01-01T00:00:00Z', 7, 'x'), now),
    Date.parse('2026-02-01T00:00:00.5Z'),
  );
  for (const text of ['', '{', 'null', '[]', '{"format":"other"}', file(), file(null)])
    assert.equal(exportedTime(text, now), undefined, text);
});
