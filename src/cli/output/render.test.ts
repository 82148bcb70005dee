import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineEvent, RestoreResult } from '../../model/events.ts';
import type { SnapshotSummary } from '../../model/snapshot.ts';
import { createOutput, type OutputOptions } from './create-output.ts';

const id = (digit: string) => digit.repeat(64);

const summary: SnapshotSummary = {
  backupStart: '2026-01-01T00:00:00Z',
  backupEnd: '2026-01-01T00:00:12Z',
  filesNew: 120,
  filesChanged: 4,
  filesUnmodified: 40_000,
  dirsNew: 1,
  dirsChanged: 2,
  dirsUnmodified: 3,
  dataBlobs: 200,
  treeBlobs: 3,
  dataAdded: 12_582_912,
  dataAddedPacked: 3_250_586,
  totalFilesProcessed: 40_124,
  totalBytesProcessed: 1_568_669_696,
};

const snapshot = (volume: string, more: Partial<Extract<EngineEvent, { event: 'snapshot' }>> = {}): EngineEvent => ({
  event: 'snapshot',
  volume,
  id: id('1'),
  time: '2026-01-01T00:00:00Z',
  class: 'manual',
  consistency: 'crash',
  dryRun: false,
  unreadable: 0,
  summary,
  ...more,
});

const backup: EngineEvent[] = [
  { event: 'run-started', operation: 'backup', run: 'r1', volumes: ['projects-data', 'redis-data'] },
  { event: 'volume-started', volume: 'projects-data', parent: id('a') },
  { event: 'progress', volume: 'projects-data', filesDone: 10, bytesDone: 1000, filesTotal: 20, bytesTotal: 2000 },
  { event: 'progress', volume: 'projects-data', filesDone: 20, bytesDone: 2000, filesTotal: 20, bytesTotal: 2000 },
  { event: 'file-problem', volume: 'projects-data', file: 'src/key', problem: 'unreadable', message: 'EACCES: permission denied' },
  { event: 'warning', volume: 'projects-data', warning: 'no name for this owner', count: 3 },
  snapshot('projects-data', { unreadable: 1 }),
  { event: 'volume-started', volume: 'redis-data' },
  snapshot('redis-data', { consistency: 'torn', dryRun: true }),
  { event: 'run-finished', operation: 'backup', run: 'r1', durationMs: 32_000, exitCode: 3 },
];

const result: RestoreResult = {
  filesRestored: 1,
  filesUnchanged: 1200,
  filesSkipped: 2,
  entriesDeleted: 3,
  bytesWritten: 2048,
  bytesUnchanged: 4096,
  bytesTotal: 6144,
  filesTotal: 1203,
  dirsTotal: 4,
  problems: 1,
  warnings: 2,
  verified: true,
  durationMs: 350,
};

const restore: EngineEvent[] = [
  { event: 'run-started', operation: 'restore', run: 'r2', volumes: ['redis-data'] },
  { event: 'volume-started', volume: 'redis-data' },
  { event: 'restored', volume: 'redis-data', snapshot: id('2'), target: '/srv/redis', result },
  { event: 'error', error: { code: 'target-full', message: 'no space left', remedy: 'make room', volume: 'redis-data', file: 'dump.rdb' } },
  { event: 'run-finished', operation: 'restore', run: 'r2', durationMs: 350, exitCode: 1 },
];

const check: EngineEvent[] = [
  { event: 'run-started', operation: 'check', run: 'r3', volumes: [] },
  {
    event: 'finding',
    finding: {
      severity: 'error',
      kind: 'pack-damaged',
      message: 'wrong MAC',
      file: 'data/3333',
      affects: [
        { snapshot: id('3'), volume: 'redis-data', paths: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] },
        { snapshot: id('4'), paths: [] },
      ],
    },
  },
  { event: 'finding', finding: { severity: 'note', kind: 'unreferenced', message: '1 pack is not used', affects: [] } },
  { event: 'run-finished', operation: 'check', run: 'r3', durationMs: 3200, exitCode: 1 },
];

function render(events: EngineEvent[], options: Partial<OutputOptions> = {}): { stdout: string; stderr: string } {
  let [stdout, stderr] = ['', ''];
  const output = createOutput({
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    nowMs: () => 0,
    ...options,
  });
  for (const event of events) output.report(event);
  output.close();
  return { stdout, stderr };
}

test('a backup as text: results on stdout, the rest on stderr', () => {
  assert.deepEqual(render(backup), {
    stdout:
      'projects-data: snapshot 11111111 (crash), 40,124 files, 1.46 GiB; 120 new, 4 changed; 12 MiB added, 3.1 MiB stored; 1 file unreadable\n' +
      'redis-data: dry run (torn), 40,124 files, 1.46 GiB; 120 new, 4 changed; 12 MiB would be added\n',
    stderr:
      'Backing up 2 volumes\n' +
      'warning: projects-data: unreadable: src/key: EACCES: permission denied\n' +
      'warning: projects-data: no name for this owner (3 times)\n' +
      'Done in 32s, but some data could not be read (exit code 3)\n',
  });
  assert.match(render(backup, { verbose: true }).stderr, /projects-data: compared with aaaaaaaa\n[\s\S]*redis-data: no parent\n/);
});

test('a restore as text', () => {
  assert.deepEqual(render(restore), {
    stdout:
      'redis-data: 22222222 to /srv/redis: 1 file restored (2 KiB written), 1,200 unchanged, 2 skipped, 3 deleted, 1 problem, 2 warnings, verified in 350ms\n',
    stderr:
      'Restoring redis-data\n' +
      'error: volume redis-data, file dump.rdb: no space left\n→ make room\n' +
      'Ended after 350ms with exit code 1\n',
  });
});

test('a check as text: findings and the verdict', () => {
  const stdout =
    'error pack-damaged: data/3333: wrong MAC\n' +
    '  affects snapshot 33333333 of redis-data: a, b, c, d, e, and 2 more\n' +
    '  affects snapshot 44444444\n' +
    'note unreferenced: 1 pack is not used\n' +
    '1 error found in 3.2s\n';
  assert.deepEqual(render(check), { stdout, stderr: 'Checking the repository\n' });
  assert.deepEqual(render(check, { quiet: true }), { stdout, stderr: '' });
  const clean: EngineEvent = { event: 'run-finished', operation: 'check', run: 'r', durationMs: 1000, exitCode: 0 };
  assert.equal(render([clean]).stdout, 'no errors found in 1s\n');
  assert.equal(render([{ ...clean, exitCode: 1 }]).stdout, 'the check failed in 1s\n', 'a failed check never looks good');
});

test('quiet: the result and complaints only', () => {
  assert.deepEqual(render(backup, { quiet: true }), {
    stdout: 'projects-data 11111111\nredis-data 11111111\n',
    stderr:
      'warning: projects-data: unreadable: src/key: EACCES: permission denied\n' +
      'warning: projects-data: no name for this owner (3 times)\n',
  });
  assert.equal(render(restore, { quiet: true }).stdout, 'redis-data /srv/redis\n');
});

test('JSON: every event is a line on stdout, progress at most once a second, errors on stderr', () => {
  const lines = (text: string) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as EngineEvent);
  const { stdout, stderr } = render(backup, { json: true });
  assert.deepEqual(
    lines(stdout),
    backup.filter((_event, index) => index !== 3),
  );
  assert.equal(stderr, '');
  assert.deepEqual(
    lines(render(backup, { json: true, quiet: true }).stdout),
    backup.filter(({ event }) => event !== 'progress'),
  );
  let now = 0;
  const slow = render(backup, { json: true, nowMs: () => (now += 1000) });
  assert.deepEqual(lines(slow.stdout), backup);
  const failed = render(restore, { json: true });
  assert.deepEqual(
    lines(failed.stdout),
    restore.filter(({ event }) => event !== 'error'),
  );
  assert.deepEqual(JSON.parse(failed.stderr), { ...restore[3], exitCode: 1 });
});

test('colours only on a terminal that wants them', () => {
  const text = (isTTY: boolean, more: Partial<OutputOptions> = {}) => {
    let stdout = '';
    const output = createOutput({
      stdout: { write: (part) => (stdout += part), isTTY },
      stderr: { write: () => true },
      environment: {},
      ...more,
    });
    output.report(snapshot('v'));
    return stdout;
  };
  assert.ok(text(true).startsWith('\x1b[1mv\x1b[22m: snapshot'));
  for (const plain of [
    text(false),
    text(true, { color: false }),
    text(true, { environment: { NO_COLOR: '1' } }),
    text(true, { environment: { TERM: 'dumb' } }),
  ]) {
    assert.match(plain, /^v: snapshot/);
  }
});

test('progress makes room for everything that is written', () => {
  let screen = '';
  const sink = { write: (text: string) => (screen += text), isTTY: true };
  const output = createOutput({ stdout: sink, stderr: sink, environment: { NO_COLOR: '1' }, nowMs: () => 0 });
  output.report({ event: 'progress', volume: 'v', filesDone: 1, bytesDone: 1 });
  output.line('result');
  output.report({ event: 'progress', volume: 'v', filesDone: 2, bytesDone: 2 });
  output.warning('careful');
  output.report({ event: 'progress', volume: 'v', filesDone: 3, bytesDone: 3 });
  output.close();
  const line = (count: number, files: string) => `\r\x1b[Kv  ${count} B  ${files}\r\x1b[K`;
  assert.equal(screen, `${line(1, '1 file')}result\n${line(2, '2 files')}warning: careful\n${line(3, '3 files')}`);
});

test('a flood of problems is cut off and counted', () => {
  const problem = (index: number): EngineEvent => ({
    event: 'file-problem',
    volume: 'v',
    file: `f${index}`,
    problem: 'vanished',
    message: 'm',
  });
  const flood = Array.from({ length: 1025 }, (_, index) => problem(index));
  const { stderr } = render([...flood, snapshot('v'), problem(0)]);
  assert.equal(stderr.split('\n').filter((line) => line.includes(': vanished: f')).length, 21);
  assert.match(stderr, /warning: v: vanished: 1,005 more \(--json lists them all\)\n/);
});

test('nothing that comes from outside reaches the terminal as it is', () => {
  const eventsNamed = (evil: string): EngineEvent[] => [
    { event: 'run-started', operation: 'backup', run: evil, volumes: [evil] },
    { event: 'volume-started', volume: evil },
    { event: 'file-problem', volume: evil, file: evil, problem: 'unreadable', message: evil },
    { event: 'warning', volume: evil, warning: evil, count: 1 },
    snapshot(evil),
    { event: 'restored', volume: evil, snapshot: id('2'), target: evil, result },
    {
      event: 'finding',
      finding: { severity: 'error', kind: 'k', message: evil, file: evil, affects: [{ snapshot: id('1'), volume: evil, paths: [evil] }] },
    },
    { event: 'error', error: { code: 'storage', message: 'x\x1b[2J', remedy: evil, volume: evil, file: evil } },
  ];
  for (const options of [{}, { quiet: true }, { verbose: true }]) {
    const { stdout, stderr } = render(eventsNamed('x\x1b[2J\r\u202e\ny'), options);
    assert.doesNotMatch((stdout + stderr).replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    const tame = render(eventsNamed('x'), options);
    const lineCount = (text: string) => text.split('\n').length;
    assert.deepEqual([lineCount(stdout), lineCount(stderr)], [lineCount(tame.stdout), lineCount(tame.stderr)], 'a name breaks no line');
  }
});
