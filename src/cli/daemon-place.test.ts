import assert from 'node:assert/strict';
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDaemonFolder, takePlace } from './daemon-place.ts';

test("a daemon's folder is its user's alone, or it is not used", (t) => {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-place-'));
  t.after(() => rmSync(base, { recursive: true }));
  const folder = join(base, 'state', 'daemon', 'shop');
  makeDaemonFolder(folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const leave = takePlace(folder);
  assert.throws(() => takePlace(folder), { code: 'daemon-running' });
  leave();
  const link = join(base, 'link');
  symlinkSync(folder, link);
  assert.throws(() => takePlace(link), { code: 'configuration' });
  if (process.geteuid?.() !== 0) return;
  const foreign = join(base, 'foreign');
  mkdirSync(foreign);
  chownSync(foreign, 65534, 65534);
  assert.throws(() => takePlace(foreign), { code: 'configuration' });
});
