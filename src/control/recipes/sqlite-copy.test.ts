import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { type CopyRequest, copyDatabase } from './sqlite-copy.ts';

function databaseIn(t: TestContext, mode = 'delete') {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
  const path = join(folder, 'app.db');
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode=${mode}; CREATE TABLE log (n); INSERT INTO log VALUES (1), (2)`);
  t.after(() => {
    if (database.isOpen) database.close();
    rmSync(folder, { recursive: true });
  });
  const request = (): CopyRequest => {
    const { dev, ino } = statSync(path, { bigint: true });
    return {
      root: Buffer.from(folder).toString('base64'),
      path: Buffer.from('app.db').toString('base64'),
      device: String(dev),
      inode: String(ino),
      keepsLog: mode === 'wal',
      into: join(folder, 'copy'),
    };
  };
  return { folder, path, database, request };
}

function sumOf(path: string): unknown {
  const copy = new DatabaseSync(path);
  try {
    return copy.prepare('SELECT sum(n) AS sum FROM log').get()?.sum;
  } finally {
    copy.close();
  }
}

test('in use, and closed, whatever the journal; nothing is left beside it', async (t) => {
  for (const mode of ['delete', 'persist', 'truncate', 'wal']) {
    const { folder, database, request } = databaseIn(t, mode);
    const before = readdirSync(folder).sort();
    assert.deepEqual(await copyDatabase(request()), { ok: true }, mode);
    assert.equal(sumOf(join(folder, 'copy')), 3);
    rmSync(join(folder, 'copy'));
    assert.deepEqual(readdirSync(folder).sort(), before, mode);
    database.close();
    const closed = readdirSync(folder).sort();
    assert.deepEqual(await copyDatabase(request()), { ok: true }, `${mode}, closed`);
    assert.equal(sumOf(join(folder, 'copy')), 3);
    rmSync(join(folder, 'copy'));
    assert.deepEqual(readdirSync(folder).sort(), closed, `${mode}, closed`);
  }
});

test('locked for good: as it was before what the lock is for, if nothing is written meanwhile', async (t) => {
  const { folder, database, request } = databaseIn(t);
  database.exec('PRAGMA cache_size=1; BEGIN EXCLUSIVE; INSERT INTO log SELECT 100 FROM log, log AS a, log AS b');
  assert.deepEqual(await copyDatabase(request(), { busyMs: 20 }), { ok: true });
  assert.equal(sumOf(join(folder, 'copy')), 3);
});

test('what has taken its place is not copied', async (t) => {
  const { folder, path, database, request } = databaseIn(t);
  const known = request();
  // Its descriptor is this process's too.
  database.close();
  const other = databaseIn(t);
  renameSync(path, `${path}.moved`);
  symlinkSync(other.path, path);
  const reply = await copyDatabase(known);
  assert.ok(!reply.ok && /taken its place|ELOOP/.test(reply.reason), JSON.stringify(reply));
  assert.ok(!existsSync(join(folder, 'copy')));
});

test('a folder that has become a symlink is not followed, wherever it leads', async (t) => {
  for (const mode of ['delete', 'wal']) {
    const { folder, request } = databaseIn(t, mode);
    const volume = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
    t.after(() => rmSync(volume, { recursive: true }));
    symlinkSync(folder, join(volume, 'inside'));
    const known = { ...request(), root: Buffer.from(volume).toString('base64'), path: Buffer.from('inside/app.db').toString('base64') };
    const reply = await copyDatabase(known);
    assert.ok(!reply.ok && /taken its place/.test(reply.reason), JSON.stringify(reply));
    assert.ok(!existsSync(known.into));
  }
});
