import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../peers.ts';

const checkout = join(import.meta.dirname, '..', '..');

type Ran = { exitCode: number | null; stdout: string; stderr: string; left: string[] };

/** Runs the demo on little data, with a temporary folder of its own in which everything that it leaves behind is found. */
function runDemo(t: TestContext, environment: NodeJS.ProcessEnv = {}): Ran {
  const temporary = scratch(t);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(checkout, 'scripts', 'demo.ts')], {
    cwd: temporary,
    env: { ...process.env, HOLDFAST_DEMO_SCALE: '0.05', TMPDIR: temporary, HOME: temporary, ...environment },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { exitCode: status, stdout, stderr, left: readdirSync(temporary).map((name) => join(temporary, name)) };
}

/** The rows of the table that begins with a title, as cells. */
function rowsBelow(stdout: string, title: string): string[][] {
  const lines = stdout.split('\n');
  const start = lines.findIndex((line) => line.startsWith(title));
  assert.notEqual(start, -1, `no table ${title} in:\n${stdout}`);
  return lines.slice(start + 1, lines.indexOf('', start)).map((line) => line.split(/ {2,}/));
}

test('the demo recovers from three disasters, and leaves nothing but the folder that it names', (t) => {
  const { exitCode, stdout, stderr, left } = runDemo(t);
  assert.equal(exitCode, 0, stdout + stderr);
  const steps = rowsBelow(stdout, 'STEP');
  const results = new Map(steps.map((row) => [row[0], row.at(-1)]));
  assert.equal(results.get('first backup'), 'restore point of 5 volumes');
  for (const what of ['recover one file', 'recover one volume', 'recover everything']) assert.equal(results.get(what), 'identical');
  assert.equal(results.get('check --read-data'), 'no errors');
  const [first, second] = [...stdout.matchAll(/^ *projects-data .* ([\d.]+ \w+) newly stored$/gm)].map(([, stored]) => stored);
  assert.match(`${first}, then ${second}`, /MiB, then .* (B|KiB)$/, 'the second backup stores far less');
  const verdicts = rowsBelow(stdout, 'DISASTER');
  assert.deepEqual(
    verdicts.map(([disaster]) => disaster),
    ['everything', 'one file', 'one volume'],
  );
  for (const row of verdicts) assert.equal(row.filter((cell) => cell === 'met').length, 2, row.join(' '));
  assert.equal(left.length, 1, `left behind: ${left.join(', ')}`);
  assert.match(stdout, new RegExp(`To clean up: rm -rf ${left[0]}\n`));
  assert.deepEqual(readdirSync(left[0] as string).sort(), ['elsewhere', 'lost-host', 'new-host', 'repository']);
});

test('without git, Redis, rsync and restic the demo works too, and says what is missing', (t) => {
  const programs = join(scratch(t), 'bin');
  mkdirSync(programs);
  for (const name of ['sh', 'dirname', 'readlink']) symlinkSync(join('/bin', name), join(programs, name));
  const { exitCode, stdout, stderr } = runDemo(t, { PATH: `${programs}:${dirname(process.execPath)}` });
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /git is not installed/);
  assert.match(stdout, /redis-server is not installed/);
  assert.doesNotMatch(stdout, /rsync|restic/);
});

test('a scale that is no number is refused before anything is made', (t) => {
  const { exitCode, stderr, left } = runDemo(t, { HOLDFAST_DEMO_SCALE: 'all' });
  assert.equal(exitCode, 1);
  assert.match(stderr, /HOLDFAST_DEMO_SCALE/);
  assert.deepEqual(left, []);
});
