import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Command } from './measure.ts';
import type { Peer } from './peers.ts';
import { differences, emptyFiles, type Result, runRound, workNames } from './rounds.ts';

const missing = ['/usr/bin/time', '/usr/bin/rsync'].find((program) => !existsSync(program));
const skip = missing === undefined ? false : `${missing} is missing`;

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-bench-test-'));
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** A peer that copies; `restore` may be replaced by something that does it wrong. */
function copier(restoreScript = 'cp -a "$1/." "$2"'): Peer {
  const shell = (script: string, ...args: string[]): Command => ({ argv: ['sh', '-c', script, 'sh', ...args], directory: scratch });
  return {
    name: 'borg',
    version: '1',
    init: ({ repository }) => shell('mkdir "$1"', repository),
    backup: ({ volume, repository }) => shell('rm -rf "$2" && cp -a "$1" "$2"', volume, repository),
    restore: ({ repository }, target) => shell(restoreScript, repository, target),
    dump: ({ repository }) => shell('tar -cf - -C "$1" .', repository),
    check: () => shell('true'),
    forget: ({ repository }) => shell('rm "$1/file"', repository),
    prune: ({ repository }) => shell('test -e "$1/new" && ! test -e "$1/file"', repository),
    help: () => shell('true'),
  };
}

async function roundWith(peer: Peer, works = workNames.filter((work) => work !== 'help')): Promise<Result[]> {
  const folder = mkdtempSync(join(scratch, 'round-'));
  const volume = join(folder, 'volume');
  mkdirSync(volume);
  writeFileSync(join(volume, 'file'), 'first state');
  const results: Result[] = [];
  const churn = (): void => writeFileSync(join(volume, 'new'), 'second state');
  await runRound({
    corpus: 'test',
    repetition: 1,
    peers: [peer],
    works,
    volume,
    scratch: folder,
    churn,
    compare: true,
    report: (line) => results.push(line),
  });
  return results;
}

test('all works are measured, in their order, and the size is that after all backups', { skip }, async () => {
  const results = await roundWith(copier());
  assert.deepEqual(
    results.map(({ work, failure }) => [work, failure]),
    ['first', 'unchanged', 'churned', 'size', 'restore', 'dump', 'check', 'prune'].map((work) => [work, undefined]),
  );
  assert.equal(results.find(({ work }) => work === 'size')?.repositoryBytes, 'first state'.length + 'second state'.length);
});

test('a peer that restores something else is reported and gets no figure', { skip }, async () => {
  const results = await roundWith(copier('cp -a "$1/." "$2"; printf "third state" > "$2/file"'));
  const last = results.find(({ work }) => work === 'restore');
  assert.match(last?.failure ?? '', /WRONG DATA, 1 differences: .* file/);
  assert.equal(last?.wallSeconds, undefined);
});

test('a peer that fails is reported with what it said', { skip }, async () => {
  const results = await roundWith(copier('echo "disk on fire" >&2; exit 4'));
  assert.equal(results.find(({ work }) => work === 'restore')?.failure, 'exit 4: disk on fire');
});

test('a peer without a backup does nothing more', { skip }, async () => {
  const broken: Peer = { ...copier(), backup: () => ({ argv: ['sh', '-c', 'exit 5'], directory: scratch }) };
  const results = await roundWith(broken);
  assert.deepEqual(
    results.map(({ work, failure }) => [work, failure]),
    [['first', 'exit 5: ']],
  );
});

test('a missing, an extra and a differently dated file are differences', { skip }, () => {
  const [expected, actual] = [mkdtempSync(join(scratch, 'a-')), mkdtempSync(join(scratch, 'b-'))];
  assert.deepEqual(differences(expected, actual), []);
  writeFileSync(join(expected, 'missing'), '');
  writeFileSync(join(actual, 'extra'), '');
  assert.deepEqual(
    differences(expected, actual)
      .map((line) => line.split(' ').at(-1))
      .sort(),
    ['extra', 'missing'],
  );
});

test('an emptied tree keeps its files and directories', () => {
  const root = mkdtempSync(join(scratch, 'c-'));
  mkdirSync(join(root, 'directory'));
  writeFileSync(join(root, 'directory', '-file'), 'content');
  emptyFiles(root);
  assert.equal(statSync(join(root, 'directory', '-file')).size, 0);
});
