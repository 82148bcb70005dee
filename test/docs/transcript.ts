/** Running the `console` blocks of a page of documentation: what stands behind `$ ` is a command, the lines below are its output. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { scratch } from '../peers.ts';

export const checkout = join(import.meta.dirname, '..', '..');
/** The folder that the transcripts tell of. */
const toldFolder = '/srv/shop';

export type Step = { command: string; output: string };

/** The commands of all `console` blocks, in order, block by block. */
export function transcripts(markdown: string): Step[][] {
  return [...markdown.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) => {
    const steps: Step[] = [];
    for (const line of (block as string).trimEnd().split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: '' });
      else (steps.at(-1) as Step).output += `${line}\n`;
    }
    return steps;
  });
}

/** Replaces what differs from run to run: ids, times, and the sizes that depend on compression and on numbers of inodes. */
export function withoutChance(output: string, folder: string): string {
  return output
    .replaceAll(folder, toldFolder)
    .replace(/\b\d{8}T\d{6}Z-[0-9a-f]{6}\b/g, 'RUN')
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)/g, 'TIME')
    .replace(/\b[0-9a-f]{8}\b/g, 'ID')
    .replace(/\bin \d[\d.]*(ms|s|m\d*s?)\b/g, 'in DURATION')
    .replace(/\b\d[\d.]* ([KM]iB|B) (added|stored|would be added)\b/g, 'SIZE $2')
    .replace(/ {2,}/g, '  ')
    .trimEnd();
}

/** The volumes that the transcripts tell of. */
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

export type Shell = {
  /** A folder with the volumes `database` and `uploads`. */
  folder: string;
  /** Runs a command in the folder, with `holdfast` in the PATH; on a terminal, results and notes come as one, and so they do here. */
  run(command: string): { status: number | null; output: string };
};

export function shopShell(t: TestContext): Shell {
  const programs = scratch(t);
  // A project is named after its folder.
  const folder = join(realpathSync(scratch(t)), basename(toldFolder));
  mkdirSync(folder);
  makeData(folder);
  symlinkSync(join(checkout, 'holdfast'), join(programs, 'holdfast'));
  const kept = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|RESTIC)_/.test(name));
  const env = { ...Object.fromEntries(kept), PATH: `${programs}:${process.env.PATH}`, TZ: 'UTC', COLUMNS: '80', LC_ALL: 'C' };
  return {
    folder,
    run(command) {
      // `ls` writes columns on a terminal, and here with `-C`.
      const line = command.replace(/^ls\b/, 'ls -C');
      const { status, stdout } = spawnSync('sh', ['-c', `exec 2>&1; ${line}`], { cwd: folder, env, encoding: 'utf8', timeout: 60_000 });
      return { status, output: stdout };
    },
  };
}

/** Runs steps one after the other; all must succeed, and print what the page says. */
export function assertTrue(shell: Shell, steps: readonly Step[]): void {
  for (const { command, output } of steps) {
    const done = shell.run(command);
    assert.equal(done.status, 0, `${command}\n${done.output}`);
    assert.equal(withoutChance(done.output, shell.folder), withoutChance(output, shell.folder), command);
  }
}
