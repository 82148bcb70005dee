import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { type Program, runCommands } from './run-job.ts';

/** Commands are scripts of a shell. */
const shell: Program = { command: ['sh', '-c'], directory: '/', environment: { PATH: process.env.PATH } };

async function runScripts(scripts: readonly string[], signal = new AbortController().signal, onLine?: (line: string) => void) {
  const lines: string[] = [];
  const processes: (ProcessIdentity | undefined)[] = [];
  const watch = {
    onStart: (process: ProcessIdentity | undefined) => void processes.push(process),
    onLine: (line: string) => {
      lines.push(line);
      onLine?.(line);
    },
  };
  const code = await runCommands(
    shell,
    scripts.map((script) => [script]),
    watch,
    signal,
  );
  return { code, lines, processes };
}

test('lines of JSON are given as they are, everything else as a message, and exit codes decide on what follows', async () => {
  const { code, lines } = await runScripts([`echo '{"a":1}'; echo; echo plain >&2; exit 3`, 'exit 0']);
  assert.equal(code, 3);
  assert.deepEqual(lines.sort(), ['{"a":1}', '{"event":"message","level":"warning","message":"plain"}'].sort());
  assert.equal((await runScripts(['exit 11', 'echo {}'])).code, 11);
  assert.deepEqual((await runScripts(['exit 11', 'echo {}'])).lines, []);
  assert.equal((await runScripts(['kill -9 $$'])).code, 137);
});

test('a line without an end does not fill the memory, and what is cut is no JSON', async () => {
  const { lines } = await runScripts([`printf '{"a":"'; head -c 6000000 /dev/zero | tr '\\0' x; echo '"}'; echo '{"b":1}'`]);
  assert.equal(lines.length, 2);
  assert.ok((lines[0] as string).length < 20_000);
  assert.match(JSON.parse(lines[0] as string).message, /^\{"a":"xxx/);
  assert.equal(lines[1], '{"b":1}');
});

test('a finding that affects ten thousand snapshots and long paths comes through', async () => {
  const { lines } = await runScripts([`printf '{"event":"finding","affects":"'; head -c 3000000 /dev/zero | tr '\\0' x; echo '"}'`]);
  assert.deepEqual(
    lines.map((line) => [line.length > 3_000_000, JSON.parse(line).event]),
    [[true, 'finding']],
  );
});

test('what only looks like JSON is a message', async () => {
  const { lines } = await runScripts([`echo '{not: json}'; echo '{"event":"message","message":7}'`]);
  assert.deepEqual(lines, ['{"event":"message","level":"warning","message":"{not: json}"}', '{"event":"message","message":7}']);
});

test('an abort asks once, and the command may end as it likes; Ctrl-C of a terminal does not reach it', async () => {
  const stop = new AbortController();
  const { code, lines, processes } = await runScripts(
    [`trap 'echo {\\"asked\\":1}; exit 130' TERM; echo '{"ready":1}'; while :; do sleep 0.05; done`],
    stop.signal,
    () => stop.abort(),
  );
  assert.deepEqual([code, lines], [130, ['{"ready":1}', '{"asked":1}']]);
  assert.equal(processes.length, 1);
  const own = await runScripts(['cat /proc/$$/stat | sed "s/^/{}/"']);
  const group = (stat: string) => stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2];
  assert.notEqual(group(JSON.parse(own.lines[0] as string).message), group(readFileSync('/proc/self/stat', 'utf8')));
});

test('what a command leaves behind with its output open is not waited for', { timeout: 20_000 }, async () => {
  const { code, lines } = await runScripts([`sleep 60 & echo "{\\"left\\":$!}"`]);
  const { left } = JSON.parse(lines[0] as string) as { left: number };
  process.kill(left, 'SIGKILL');
  assert.equal(code, 0);
});

test('what fails in listening is not hidden, and leaves nothing running', { timeout: 20_000 }, async () => {
  let child: ProcessIdentity | undefined;
  const watch = {
    onStart: (process: ProcessIdentity | undefined) => {
      child = process;
    },
    onLine: () => {
      throw new Error('not mine');
    },
  };
  await assert.rejects(runCommands(shell, [['echo {}; exec sleep 60']], watch, new AbortController().signal), /not mine/);
  for (let i = 0; i < 500 && isAlive(child as ProcessIdentity); i++) await setTimeout(10);
  assert.equal(isAlive(child as ProcessIdentity), false);
});

test('a program that is not there is an error; its identity ends with a process', async () => {
  await assert.rejects(
    runCommands({ ...shell, command: ['/nowhere/holdfast'] }, [[]], { onStart: () => {}, onLine: () => {} }, new AbortController().signal),
    /ENOENT/,
  );
  // It runs until it has been looked at.
  const stop = new AbortController();
  const { processes } = await runScripts([`trap 'exit 0' TERM; echo '{}'; while :; do sleep 0.05; done`], stop.signal, () => stop.abort());
  for (let i = 0; i < 100 && isAlive(processes[0] as ProcessIdentity); i++) await setTimeout(10);
  assert.equal(isAlive(processes[0] as ProcessIdentity), false);
  assert.equal(isAlive({ pid: process.pid, startTicks: '1' }), false, 'another process of this id');
});
