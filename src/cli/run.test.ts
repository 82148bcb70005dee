import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { Command, CommandContext, CommandEntry } from './command.ts';
import { commandTable } from './command-table.ts';
import { globalOptions } from './global-options.ts';
import { run } from './run.ts';

const entry = (name: string, command: Command, onLoad = () => {}): CommandEntry => ({
  name,
  summary: `what ${name} does`,
  load: () => {
    onLoad();
    return Promise.resolve({ command });
  },
});

const failing = (error: () => unknown): Command => ({ configure: () => undefined, run: () => Promise.reject(error()) });

type Transcript = { exit: number; stdout: string; stderr: string };

async function transcript(argv: string[], commands?: CommandEntry[], signal = new AbortController().signal): Promise<Transcript> {
  let [stdout, stderr] = ['', ''];
  const exit = await run(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    cwd: '/srv',
    signal,
    ...(commands === undefined ? {} : { commands }),
  });
  return { exit, stdout, stderr };
}

test('--help lists the commands and loads none of them', async () => {
  const none = commandTable.map((row) => entry(row.name, failing(Error), () => assert.fail(`${row.name} was loaded`)));
  const { exit, stdout, stderr } = await transcript(['--help'], none);
  assert.deepEqual({ exit, stderr }, { exit: exitCodes.done, stderr: '' });
  const rows = [
    ...[{ flags: '-V, --version', description: 'print the version' }, ...globalOptions],
    { flags: '-h, --help', description: 'print help' },
    ...commandTable.map(({ name }) => ({ flags: name, description: `what ${name} does` })),
  ];
  const width = Math.max(...rows.map(({ flags }) => flags.length));
  const lines = rows.map(({ flags, description }) => `  ${flags.padEnd(width)}  ${description}\n`);
  const options = lines.slice(0, globalOptions.length + 2).join('');
  const commands = lines.slice(globalOptions.length + 2).join('');
  assert.equal(
    stdout,
    `Usage: holdfast [options] COMMAND [...]

Backs up, restores and checks container volumes.

Options:
${options}
Commands:
${commands}
Run \`holdfast COMMAND --help\` for the options of a command.
`,
  );
  assert.deepEqual(await transcript(['help'], none), { exit, stdout, stderr });
});

test('help of a command has its own options and the global ones', async () => {
  const commands = [entry('copy', { ...failing(Error), configure: (commander) => void commander.option('--dry-run', 'only say it') })];
  for (const argv of [
    ['copy', '--help'],
    ['help', 'copy'],
    ['--json', 'copy', '-h'],
  ]) {
    const { exit, stdout } = await transcript(argv, commands);
    assert.equal(exit, exitCodes.done);
    assert.match(
      stdout,
      /^Usage: holdfast copy \[options\]\n\nwhat copy does\n[\s\S]*--dry-run +only say it[\s\S]*Global Options:[\s\S]*--repository/,
    );
  }
});

test('--version prints the version of the package', async () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  assert.deepEqual(await transcript(['--version']), { exit: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

test('a mistake on the command line is told with what was probably meant, and ends with 2', async () => {
  const commands = [
    entry('backup', { configure: (commander) => void commander.argument('<volume>').option('--tag <tag>'), run: async () => 0 }),
  ];
  const cases: [string[], string][] = [
    [['bakup'], "error: unknown command 'bakup'\n→ did you mean `backup`? Otherwise run `holdfast --help`\n"],
    [['xyzzy'], "error: unknown command 'xyzzy'\n→ run `holdfast --help`\n"],
    [['help', 'bakup'], "error: unknown command 'bakup'\n→ did you mean `backup`? Otherwise run `holdfast --help`\n"],
    [[], 'error: no command was given\n→ run `holdfast --help`\n'],
    [['backup', 'v', '--tga', 'x'], "error: unknown option '--tga'\n→ did you mean `--tag`? Otherwise run `holdfast backup --help`\n"],
    [['--jsn', 'backup'], "error: unknown option '--jsn'\n→ did you mean `--json`? Otherwise run `holdfast --help`\n"],
    [['backup', 'v', '--tag'], "error: option '--tag <tag>' argument missing\n→ run `holdfast backup --help`\n"],
    [['backup'], "error: missing required argument 'volume'\n→ run `holdfast backup --help`\n"],
    [
      ['backup', 'v', 'w'],
      "error: too many arguments for 'backup'. Expected 1 argument but got 2: v, w.\n→ run `holdfast backup --help`\n",
    ],
  ];
  for (const [argv, stderr] of cases)
    assert.deepEqual(await transcript(argv, commands), { exit: exitCodes.usage, stdout: '', stderr }, argv.join(' '));
});

test('a command gets its operands, its options, and the global ones from before and after its name', async () => {
  const contexts: CommandContext[] = [];
  const command: Command = {
    configure: (commander) => void commander.argument('[volumes...]').option('--dry-run'),
    run: async (context) => {
      contexts.push(context);
      return exitCodes.incomplete;
    },
  };
  const { exit } = await transcript(
    ['-q', 'backup', 'a', '--dry-run', '--json', 'b', '-C', 'sub', '-r', 'local', '--no-color'],
    [entry('backup', command)],
  );
  const [context] = contexts;
  assert.equal(exit, exitCodes.incomplete);
  assert.deepEqual(context?.operands, ['a', 'b']);
  assert.deepEqual(context?.options, { dryRun: true });
  assert.deepEqual(context?.global, { quiet: true, json: true, directory: 'sub', repository: 'local', color: false, cache: true });
  assert.equal(context?.cwd, '/srv/sub');
  assert.deepEqual([context?.output.json, context?.output.quiet, context?.output.verbose], [true, true, false]);
});

test('a daemon elsewhere is asked by the commands that can; others do not quietly work here instead', async () => {
  const refused = await transcript(['backup', '--server', 'https://elsewhere.example']);
  assert.equal(refused.exit, exitCodes.usage);
  assert.match(refused.stderr, /`backup` asks no daemon: --server is for .*`status`.*`jobs`/);
  let asked = false;
  const jobs: CommandEntry = {
    ...entry('jobs', {
      configure: () => undefined,
      async run({ global }) {
        asked = global.server === 'https://elsewhere.example';
        return 0;
      },
    }),
    asksDaemon: true,
  };
  assert.equal((await transcript(['jobs', '--server', 'https://elsewhere.example'], [jobs])).exit, 0);
  assert.ok(asked);
});

test('an option that takes something away is true until it is given', async () => {
  const seen: unknown[] = [];
  const command: Command = {
    configure: (commander) => void commander.option('--no-lock'),
    run: async ({ options }) => {
      seen.push(options.lock);
      return exitCodes.done;
    },
  };
  await transcript(['x'], [entry('x', command)]);
  await transcript(['x', '--no-lock'], [entry('x', command)]);
  assert.deepEqual(seen, [true, false]);
});

test('a failure is shown in three parts, and its code is the exit code', async () => {
  const locked = () =>
    new HoldfastError('locked', 'the repository is locked by host h', {
      volume: 'redis-data',
      cause: new Error('lock 12ab\x1b[2J', { cause: new Error('EEXIST') }),
    });
  const text = await transcript(['x'], [entry('x', failing(locked))]);
  assert.deepEqual(text, {
    exit: exitCodes.locked,
    stdout: '',
    stderr:
      'error: volume redis-data: the repository is locked by host h\n' +
      '  because: lock 12ab\\x1b[2J\n  because: EEXIST\n' +
      '→ wait until it has finished, or run `holdfast unlock` when you are sure that it is dead\n',
  });
  const json = await transcript(['x', '--json'], [entry('x', failing(locked))]);
  assert.deepEqual([json.exit, json.stdout], [exitCodes.locked, '']);
  assert.deepEqual(JSON.parse(json.stderr), {
    event: 'error',
    error: {
      code: 'locked',
      message: 'the repository is locked by host h',
      remedy: 'wait until it has finished, or run `holdfast unlock` when you are sure that it is dead',
      volume: 'redis-data',
      because: ['lock 12ab\x1b[2J', 'EEXIST'],
    },
    exitCode: exitCodes.locked,
  });
});

test('a defect is said to be one, with its stack only when asked for', async () => {
  const commands = [
    entry(
      'x',
      failing(() => new TypeError('x is not a function')),
    ),
  ];
  const { exit, stderr } = await transcript(['x'], commands);
  assert.equal(exit, exitCodes.failed);
  assert.equal(stderr, 'error: TypeError: x is not a function\n→ report it, with the message and the version\n');
  assert.match((await transcript(['x', '--verbose'], commands)).stderr, /\n {2} +at .*run\.test\.ts/);
});

test('an aborted signal is an interruption, whatever a library makes of it', async () => {
  const reason = new HoldfastError('interrupted', 'interrupted by SIGINT');
  const thrown = [reason, new DOMException('The operation was aborted', 'AbortError'), new Error('read failed', { cause: reason })];
  for (const error of thrown) {
    const { exit, stderr } = await transcript(
      ['x'],
      [
        entry(
          'x',
          failing(() => error),
        ),
      ],
      AbortSignal.abort(reason),
    );
    assert.equal(exit, exitCodes.interrupted);
    assert.match(stderr, /^error: interrupted.*\n[\s\S]*→ run again: what was stored is reused\n$/);
  }
  const unrelated = await transcript(
    ['x'],
    [
      entry(
        'x',
        failing(() => new Error('disk on fire')),
      ),
    ],
    AbortSignal.abort(reason),
  );
  assert.equal(unrelated.exit, exitCodes.failed, 'a failure of its own is not hidden by the interruption');
});
