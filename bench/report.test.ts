import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerName } from './peers.ts';
import { judge, median, renderReport, renderTable, summarise } from './report.ts';
import type { Result } from './rounds.ts';

const result = (peer: PeerName, wallSeconds: number, more: Partial<Result> = {}): Result => ({
  corpus: 'databases',
  work: 'first',
  peer,
  version: '1.0',
  repetition: 1,
  wallSeconds,
  ...more,
});

test('the median of an even number of values lies between the middle two', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 1, 5, 6]), 5.5);
});

test('a limit is passed up to its value and missed above it, each against its own peer', () => {
  const verdicts = (ours: number) =>
    judge(summarise([result('holdfast', ours), result('restic-newest', 10), result('tar-zstd', 4)])).map(({ limit, verdict }) => [
      limit.against,
      verdict,
    ]);
  assert.deepEqual(verdicts(5), [
    ['restic-newest', 'pass'],
    ['tar-zstd', 'pass'],
  ]);
  assert.deepEqual(verdicts(5.5), [
    ['restic-newest', 'MISS'],
    ['tar-zstd', 'pass'],
  ]);
  assert.deepEqual(verdicts(6.5), [
    ['restic-newest', 'MISS'],
    ['tar-zstd', 'MISS'],
  ]);
});

test('one failure takes all figures of that work away, and no limit is judged by it', () => {
  const results = [result('holdfast', 1), result('holdfast', 1, { failure: 'WRONG DATA', repetition: 2 }), result('restic-newest', 10)];
  assert.deepEqual(judge(summarise(results)), []);
  assert.match(renderReport(results, 'terminal'), /holdfast +FAILED: WRONG DATA/);
});

test('an absolute limit needs no peer', () => {
  const help = result('holdfast', 1, { corpus: 'none', work: 'help', cpuSeconds: 0.2 });
  assert.deepEqual(
    judge(summarise([help])).map(({ verdict, measured }) => [verdict, measured]),
    [['MISS', 0.2]],
  );
});

test('ratios are against the newest restic on the same corpus and work', () => {
  const results = [result('holdfast', 2), result('restic-newest', 8), result('restic-newest', 1, { corpus: 'media' })];
  assert.match(renderReport(results, 'terminal'), /databases +first +holdfast +2\.00 s \(0\.25\)/);
});

test('a Markdown cell cannot break its table', () => {
  assert.equal(renderTable(['a', 'b'], [['x | y', 'z']], 'markdown'), '| a | b |\n| --- | --- |\n| x \\| y | z |\n');
});
