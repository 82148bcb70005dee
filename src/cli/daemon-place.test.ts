import assert from 'node:assert/strict';
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { daemonFolder, makeDaemonFolder, takePlace } from './daemon-place.ts';

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

test('the folder of a project is that of its file, by whichever way one comes to it, and of the file that it will have', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-place-'));
  t.after(() => rmSync(base, { recursive: true }));
  mkdirSync(join(base, 'shop'));
  symlinkSync(join(base, 'shop'), join(base, 'link'));
  const folderOf = (file: string, project = 'shop') => daemonFolder({ project, file: join(base, file) }, { HOLDFAST_STATE_DIR: base });
  const before = folderOf('shop/holdfast.yaml');
  assert.equal(folderOf('link/holdfast.yaml'), before);
  writeFileSync(join(base, 'shop/holdfast.yaml'), '');
  assert.equal(folderOf('shop/holdfast.yaml'), before);
  assert.equal(folderOf('link/holdfast.yaml'), before);
  assert.notEqual(folderOf('shop/other.yaml'), before);
});
