import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consistency } from '../../model/snapshot.ts';
import { identityFromTags } from '../../model/snapshot.ts';
import { type Counts, counterNames } from './counters.ts';
import { snapshotOf } from './snapshot-of.ts';

function taken(consistency: Consistency, counts: Partial<Counts>) {
  const none = Object.fromEntries(counterNames.map((name) => [name, 0])) as Counts;
  const clock = { now: () => new Date('2024-01-01T00:00:10Z'), sleep: async () => undefined };
  return snapshotOf(
    { project: 'p', run: 'r', class: 'guard', consistency, tags: ['extra'], programVersion: 'holdfast 1', clock },
    {
      volume: { name: 'v', directory: '/mnt/v', excludes: { patterns: ['*.o'], ignorePatterns: ['/tmp'] } },
      root: { node: {} as never },
      tree: 'ab'.repeat(32),
      parent: undefined,
      counts: { ...none, ...counts },
      startedMs: Date.parse('2024-01-01T00:00:00Z'),
    },
  );
}

test('a live read in which files changed is torn; a cut that was better taken is not', () => {
  assert.equal(taken('crash', {}).consistency, 'crash');
  assert.equal(taken('crash', { unreadable: 3 }).consistency, 'crash');
  assert.equal(taken('crash', { changedWhileRead: 1 }).consistency, 'torn');
  assert.equal(taken('frozen', { changedWhileRead: 1 }).consistency, 'frozen');
});

test('the tags carry identity and grade, and what the user adds', () => {
  const { tags, excludes, paths } = taken('crash', { changedWhileRead: 1 });
  assert.deepEqual(identityFromTags(tags), { project: 'p', volume: 'v', run: 'r', class: 'guard', consistency: 'torn' });
  assert.equal(tags.at(-1), 'extra');
  assert.deepEqual([excludes, paths], [['*.o', '/tmp'], ['/mnt/v']]);
});

test('a snapshot knows how many files could not be read', () => {
  assert.equal(taken('crash', { unreadable: 3, unreadableAttributes: 2 }).problems, 3);
  assert.ok(!('problems' in taken('crash', { unreadableAttributes: 2 })));
});

test("the summary has restic's counts and the time that it took, and nothing of Holdfast's own", () => {
  const { summary, time } = taken('crash', { filesNew: 2, totalBytesProcessed: 2 ** 40, unreadable: 1 });
  assert.deepEqual([summary.filesNew, summary.totalBytesProcessed], [2, 2 ** 40]);
  assert.equal(Date.parse(summary.backupEnd) - Date.parse(summary.backupStart), 10_000);
  assert.equal(time, summary.backupStart);
  for (const name of ['unreadable', 'unreadableAttributes', 'changedWhileRead']) assert.ok(!(name in summary), name);
});
