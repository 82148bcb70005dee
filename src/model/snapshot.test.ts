import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityFromTags, tagsFromIdentity } from './snapshot.ts';

test('an identity is what its tags say; words that are none count for the least', () => {
  const identity = { project: 'p', volume: 'v=1', run: 'r', class: 'guard', consistency: 'stopped' } as const;
  assert.deepEqual(identityFromTags(tagsFromIdentity(identity)), identity);
  assert.equal(identityFromTags(['project=p', 'volume=v']), undefined);
  const hostile = identityFromTags(['project=p', 'volume=v', 'run=r', 'class=\u001b[2J', 'consistency=perfect']);
  assert.deepEqual([hostile?.class, hostile?.consistency], ['manual', 'crash']);
});
