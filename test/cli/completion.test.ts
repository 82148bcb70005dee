import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Command, CommandEntry } from '../../src/cli/command.ts';
import { run } from '../../src/cli/run.ts';
import { exitCodes } from '../../src/model/errors.ts';

const sample: Command = { configure: (commander) => void commander.option('-n, --dry-run').option('--tag <tag>'), run: async () => 0 };
const commands: CommandEntry[] = [
  { name: 'backup', summary: "back up what's here", load: () => Promise.resolve({ command: sample }) },
  { name: 'completion', summary: 'print a script', load: () => import('../../src/cli/commands/completion.ts') },
];

async function complete(...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const exit = await run(['completion', ...argv], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    cwd: '/',
    signal: new AbortController().signal,
    commands,
  });
  return { exit, stdout, stderr };
}

test('bash completes commands, their options and the global ones', async () => {
  const { stdout } = await complete('bash');
  const candidates = (...words: string[]): string[] => {
    const script = `${stdout}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout: lines, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.ok(status !== null);
    return lines.split('\n').filter((line) => line !== '');
  };
  assert.deepEqual(candidates('holdfast', ''), ['backup', 'completion']);
  assert.deepEqual(candidates('holdfast', '--json', 'b'), ['backup']);
  assert.deepEqual(candidates('holdfast', 'backup', '--d'), ['--dry-run', '--docker-host', '--directory']);
  assert.deepEqual(candidates('holdfast', 'completion', '--d'), ['--docker-host', '--directory']);
  assert.deepEqual(candidates('holdfast', 'backup', ''), [], 'files and volumes are left to the shell');
});

test('zsh and fish scripts name every command and option', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { exit, stdout } = await complete(shell);
    assert.equal(exit, exitCodes.done);
    for (const word of ['backup', 'completion', 'dry-run', 'tag', 'repository', 'no-color', "back up what'\\''s here"]) {
      assert.ok(stdout.includes(word), `${shell}: ${word}`);
    }
  }
});

test('as JSON the script is a field; an unknown shell is a mistake', async () => {
  const { stdout } = await complete('fish', '--json');
  assert.deepEqual(Object.keys(JSON.parse(stdout) as object), ['shell', 'script']);
  for (const shell of ['tcsh', 'constructor']) {
    assert.deepEqual(await complete(shell), {
      exit: exitCodes.usage,
      stdout: '',
      stderr: `error: there is no completion for the shell ${shell}\n→ name one of bash, zsh, fish\n`,
    });
  }
});
