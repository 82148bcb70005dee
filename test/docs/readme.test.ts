/** The README is true: its transcripts are run, and its tables and links compared with what is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandTable } from '../../src/cli/command-table.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { assertTrue, checkout, shopShell, transcripts, withoutChance } from './transcript.ts';

const readme = readFileSync(join(checkout, 'README.md'), 'utf8');

test('the transcripts in the README are what happens', (t) => {
  const steps = transcripts(readme).flat();
  assert.ok(steps.length >= 8, 'the README has transcripts');
  assertTrue(shopShell(t), steps);
});

test('what varies from run to run is left out of the comparison, and nothing else', () => {
  const line = 'data: snapshot 72323250 (crash), 1 file, 4.03 MiB; 1 new, 0 changed; 4.03 MiB added, 121 KiB stored';
  const same = 'data: snapshot 0a323251 (crash), 1 file, 4.03 MiB; 1 new, 0 changed; 4.1 MiB added, 99 B stored';
  assert.equal(withoutChance(line, '/tmp/x'), withoutChance(same, '/tmp/x'));
  for (const other of [line.replace('crash', 'torn'), line.replace('1 file', '2 files'), line.replace('4.03 MiB;', '4.04 MiB;')]) {
    assert.notEqual(withoutChance(line, '/tmp/x'), withoutChance(other, '/tmp/x'));
  }
});

/** The first cells of the table below a heading. */
function firstCells(heading: string): string[] {
  const start = readme.indexOf(`| ${heading} |`);
  assert.notEqual(start, -1, heading);
  const rows = readme.slice(start).split('\n\n')[0]?.split('\n').slice(2) as string[];
  return rows.map((row) => (row.split('|')[1] as string).trim());
}

test('the README lists the commands that there are', () => {
  assert.deepEqual(
    firstCells('command'),
    commandTable.map(({ name }) => `\`${name}\``),
  );
});

test('the README lists the exit codes that there are', () => {
  assert.deepEqual(
    firstCells('exit code').map(Number),
    Object.values(exitCodes).sort((a, b) => a - b),
  );
});

test('links in the README lead to files that are there', () => {
  const targets = [...readme.matchAll(/\]\(([^)#]+)/g)].map(([, target]) => target as string).filter((target) => !target.includes('://'));
  assert.ok(targets.length > 0);
  for (const target of targets) assert.ok(existsSync(join(checkout, target)), target);
});
