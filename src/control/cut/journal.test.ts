import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { dumpFolderOf, findJournals, type Journal, removeJournal, writeJournal } from './journal.ts';

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'holdfast-journal-'));
  t.after(() => rmSync(made, { recursive: true }));
  return join(made, 'state');
}

const journal: Journal = {
  run: '20260101T000000Z-aa',
  project: 'shop',
  reach: { DOCKER_HOST: 'unix:///x' },
  groups: [[{ id: 'a', name: 'web', action: 'pause' }]],
  hooks: { onError: [], after: [] },
};

test('what is written is found, as our own, and nobody else can read it', async (t) => {
  const state = folder(t);
  assert.deepEqual(await findJournals(state), []);
  await writeJournal(state, { ...journal, groups: [] });
  await writeJournal(state, journal);
  const [found, ...others] = await findJournals(state);
  assert.deepEqual([found?.journal, found?.life, others], [journal, 'own', []]);
  assert.ok(Math.abs((found?.atMs ?? 0) - Date.now()) < 60_000);
  const path = join(state, 'cuts', `${journal.run}.json`);
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(state, 'cuts')).mode & 0o777], [0o600, 0o700]);
  mkdirSync(dumpFolderOf(state, journal.run), { recursive: true });
  await removeJournal(state, journal.run);
  await removeJournal(state, journal.run);
  assert.deepEqual([await findJournals(state), readdirSync(join(state, 'dumps'))], [[], []]);
});

test('of another boot, or of a process that is no more: dead; what others may write, or is half written, is none', async (t) => {
  const state = folder(t);
  await writeJournal(state, journal);
  const path = join(state, 'cuts', `${journal.run}.json`);
  const written = JSON.parse(readFileSync(path, 'utf8'));
  const become = (change: object) => writeFileSync(path, JSON.stringify({ ...written, ...change }));
  const lives = async () => (await findJournals(state)).map(({ life }) => life);
  become({ evidence: { ...written.evidence, boot: 'another' } });
  assert.deepEqual(await lives(), ['dead']);
  become({ evidence: { ...written.evidence, start: '1' } });
  assert.deepEqual(await lives(), ['dead']);
  become({ run: '../../etc' });
  assert.deepEqual(await lives(), []);
  become({});
  chmodSync(path, 0o666);
  assert.deepEqual(await lives(), []);
  chmodSync(path, 0o600);
  writeFileSync(path, '{"version":1,');
  assert.deepEqual(await lives(), []);
});

test('in another container, the kernel tells whether the process that wrote it lives', async (t) => {
  const state = folder(t);
  const other = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { writeJournal } = await import(${JSON.stringify(join(import.meta.dirname, 'journal.ts'))});
       await writeJournal(${JSON.stringify(state)}, ${JSON.stringify(journal)});
       console.log('written');
       setInterval(() => {}, 1e6);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => other.kill('SIGKILL'));
  await once(other.stdout, 'data');
  const path = join(state, 'cuts', `${journal.run}.json`);
  const written = JSON.parse(readFileSync(path, 'utf8'));
  // As this process would find it from another namespace: ids of processes say nothing there.
  const foreign = { ...written.evidence, namespaces: 'pid:[1] time:[1]' };
  writeFileSync(path, JSON.stringify({ ...written, evidence: foreign }));
  const lives = async () => (await findJournals(state)).map(({ life }) => life);
  if (written.beacon === undefined) return t.skip('this file system has no locks that prove anything');
  assert.deepEqual(await lives(), ['alive']);
  other.kill('SIGKILL');
  await once(other, 'exit');
  assert.deepEqual(await lives(), ['dead']);
});
