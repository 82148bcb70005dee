import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';

const here = join(import.meta.dirname, '../../src/cli');

/** A program with one command whose body is given, run as a process. */
function start(body: string, stdout: 'pipe' | number = 'pipe'): ChildProcess {
  const source = `
    import { runProcess } from ${JSON.stringify(join(here, 'run-process.ts'))};
    const run = async ({ signal, output }) => { ${body} };
    await runProcess([{ name: 'x', summary: '', load: async () => ({ command: { configure() {}, run } }) }]);`;
  return spawn(process.execPath, ['--input-type=module', '-e', source, '--', 'holdfast', 'x'], {
    stdio: ['ignore', stdout, 'pipe'],
    timeout: 20_000,
  });
}

/** Bounded, and kept alive by a timer that the process drops when it is told to. */
const untilAborted = `
  const timer = setTimeout(() => {}, 15_000);
  output.line('ready');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));`;

async function end(child: ChildProcess): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (text) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stderr };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} lets the command end soundly, with 130`, async () => {
    const child = start(`${untilAborted} clearTimeout(timer); output.note('lock released'); signal.throwIfAborted();`);
    child.stdout?.once('data', () => child.kill(signal));
    assert.deepEqual(await end(child), {
      code: exitCodes.interrupted,
      stderr: `lock released\nerror: interrupted by ${signal}\n→ run again: what was stored is reused\n`,
    });
  });
}

test('a second SIGINT ends at once', async () => {
  const child = start(`${untilAborted} output.line('again'); await new Promise(() => {});`);
  child.stdout?.on('data', () => child.kill('SIGINT'));
  assert.deepEqual(await end(child), { code: exitCodes.interrupted, stderr: '' });
});

test('when the reader of the output goes away, the command is told, and nothing is said', async () => {
  const child = start(`
    while (!signal.aborted) {
      output.line('line');
      await new Promise((resolve) => setImmediate(resolve));
    }
    signal.throwIfAborted();`);
  child.stdout?.once('data', () => child.stdout?.destroy());
  assert.deepEqual(await end(child), { code: exitCodes.interrupted, stderr: '' });
});

test('a reader that went away after all was said changes nothing', async () => {
  const child = start(`output.line('line'); return 0;`);
  child.stdout?.destroy();
  assert.deepEqual(await end(child), { code: exitCodes.done, stderr: '' });
});

test('the program itself answers --version', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(here, 'main.ts'), '--version'], { encoding: 'utf8', timeout: 20_000 });
  assert.equal(status, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

/** A disk that is full. */
function devFull(t: TestContext): number {
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));
  return full;
}

const outputLost =
  'error: standard output cannot be written (ENOSPC): results are lost\n  because: ENOSPC: no space left on device, write\n' +
  '→ make room where it goes, or send it elsewhere, then run again\n';

for (const [what, body] of [
  ['of a command that has ended', `output.line('line'); return 0;`],
  ['of one that works on', `output.line('line'); ${untilAborted} clearTimeout(timer); signal.throwIfAborted();`],
  ['of one that calls it an interruption', `${untilAborted} clearTimeout(timer); throw new Error('aborted', { cause: signal.reason });`],
] as const) {
  test(`output ${what} and that cannot be written is said once, and is no success`, async (t) => {
    assert.deepEqual(await end(start(body, devFull(t))), { code: exitCodes.failed, stderr: outputLost });
  });
}

test('nor are help and the version a success that could not be written', (t) => {
  for (const option of ['--help', '--version']) {
    const options = { stdio: ['ignore', devFull(t), 'pipe'], encoding: 'utf8', timeout: 20_000 } as const;
    const { status, stderr } = spawnSync(process.execPath, [join(here, 'main.ts'), option], { ...options, stdio: [...options.stdio] });
    assert.deepEqual({ status, stderr }, { status: exitCodes.failed, stderr: outputLost });
  }
});
