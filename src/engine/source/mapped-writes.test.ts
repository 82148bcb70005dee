import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awaitTick, mappedFile } from '../../../test/mapped-file.ts';
import { scratch } from '../../../test/peers.ts';
import { canSettle, settleMappedWrites } from './mapped-writes.ts';

test('what is written through mapped memory shows in times once it was settled, and not always before', async (t) => {
  const folder = scratch(t);
  if (!(await canSettle(folder))) return t.skip('the temporary folder is in memory');
  const { write, ctime } = mappedFile(t, folder);
  write(1);
  const first = ctime();
  awaitTick(folder, first);
  write(2);
  assert.equal(ctime(), first, 'a dirty page that is written again leaves no trace: the reason for all this');
  assert.equal(await settleMappedWrites([folder, folder]), true);
  const settled = ctime();
  awaitTick(folder, settled);
  write(3);
  assert.ok(ctime() > settled);
});

test('what is not there is left to who reads it; files in memory cannot be settled', async () => {
  assert.equal(await settleMappedWrites(['/no/such/folder']), true);
  assert.equal(await canSettle('/no/such/folder'), true);
  assert.equal(await canSettle('/dev/shm'), false);
});
