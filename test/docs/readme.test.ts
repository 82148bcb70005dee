/** The README is true: its transcripts are run, and its tables and links compared with what is there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandTable } from '../../src/cli/command-table.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { scratch } from '../peers.ts';

const checkout = join(import.meta.dirname, '..', '..');
const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
/** The folder that the transcripts tell of. */
const toldFolder = '/srv/shop';

type Step = { command: string; output: string };

/** The commands of all `console` blocks, in order: what stands behind `$ `, with the lines below as their output. */
function transcript(markdown: string): Step[] {
  const steps: Step[] = [];
  for (const [, block] of markdown.matchAll(/^```console\n(.*?)^```$/gms)) {
    for (const line of (block as string).trimEnd().split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: '' });
      else (steps.at(-1) as Step).output += `${line}\n`;
    }
  }
  return steps;
}

/** Replaces what differs from run to run: ids, times, and the sizes that depend on compression and on numbers of inodes. */
function withoutChance(output: string, folder: string): string {
  return output
    .replaceAll(folder, toldFolder)
    .replace(/\b\d{8}T\d{6}Z-[0-9a-f]{6}\b/g, 'RUN')
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)/g, 'TIME')
    .replace(/\b[0-9a-f]{8}\b/g, 'ID')
    .replace(/\bin \d[\d.]*(ms|s|m\d*s?)\b/g, 'in DURATION')
    .replace(/\b\d[\d.]* ([KM]iB|B) (added|stored)\b/g, 'SIZE $2')
    .replace(/ {2,}/g, '  ')
    .trimEnd();
}

function makeData(folder: string): void {
  mkdirSync(join(folder, 'database'));
  mkdirSync(join(folder, 'uploads', '2026'), { recursive: true });
  const rows = Array.from({ length: 100_000 }, (_, number) => `${number},order of customer ${number % 977},${number * 7}`.padEnd(41));
  writeFileSync(join(folder, 'database', 'orders.csv'), `${rows.join('\n')}\n`);
  for (const number of [1, 2]) {
    const lines = Array.from({ length: 1000 }, (_, line) => `invoice ${number}, item ${line}: a thing of some price, one`);
    writeFileSync(join(folder, 'uploads', '2026', `invoice-${number}.txt`), `${lines.map((line) => line.padEnd(56)).join('\n')}\n`);
  }
}

test('the transcripts in the README are what happens', (t) => {
  const [folder, programs] = [realpathSync(scratch(t)), scratch(t)];
  makeData(folder);
  symlinkSync(join(checkout, 'holdfast'), join(programs, 'holdfast'));
  const kept = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC)_/.test(name));
  const environment = { ...Object.fromEntries(kept), PATH: `${programs}:${process.env.PATH}`, TZ: 'UTC', COLUMNS: '80', LC_ALL: 'C' };
  const steps = transcript(readme);
  assert.ok(steps.length >= 8, 'the README has transcripts');
  for (const { command, output } of steps) {
    // As on a terminal, results and notes come as one. `ls` writes columns there, and here with `-C`.
    const shell = `exec 2>&1; ${command === 'ls' ? 'ls -C' : command}`;
    const { status, stdout } = spawnSync('sh', ['-c', shell], { cwd: folder, env: environment, encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 0, `${command}\n${stdout}`);
    assert.equal(withoutChance(stdout, folder), withoutChance(output, folder), command);
  }
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
