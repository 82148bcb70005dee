import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLines } from './arguments.ts';

const none = { uploadBytesPerSecond: undefined, downloadBytesPerSecond: undefined };

test('a prune comes after every forget, so that another attempt prunes when nothing is left to forget', () => {
  const lines = commandLines({ kind: 'forget', repository: 'local' }, { limits: none, jobs: 2 });
  assert.deepEqual(
    lines.map((words) => [words[0], words[words.indexOf('--repository') + 1]]),
    [
      ['forget', 'local'],
      ['prune', 'local'],
    ],
  );
});

test('bandwidth is shared by the jobs that may run, and never nothing', () => {
  const limits = { uploadBytesPerSecond: 1_000_001, downloadBytesPerSecond: 1 };
  const [words = []] = commandLines({ kind: 'usage' }, { limits, jobs: 2 });
  assert.equal(words[words.indexOf('--limit-upload') + 1], '500000');
  assert.equal(words[words.indexOf('--limit-download') + 1], '1');
});

test('names of volumes stand where they cannot be taken for options', () => {
  const [words = []] = commandLines(
    { kind: 'backup', repository: 'local', class: 'scheduled', volumes: ['a', 'b'] },
    { limits: none, jobs: 1 },
  );
  assert.deepEqual(words.slice(words.indexOf('--')), ['--', 'a', 'b']);
});
