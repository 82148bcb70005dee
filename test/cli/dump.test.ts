import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/cli/run.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

test('a terminal is shown files, but no archives; an output file is not left half-written', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'data/inside'), { recursive: true });
  writeFileSync(join(folder, 'data/inside/file'), 'content\n');
  const holdfast = commandLine(folder);
  assert.equal((await holdfast('init', '--volume', 'data=data')).exit, exitCodes.done);
  assert.equal((await holdfast('backup')).exit, exitCodes.done);

  const onTerminal = async (...argv: string[]) => {
    const [written, complaints]: [string[], string[]] = [[], []];
    const stdout = { write: (text: string) => written.push(text), isTTY: true };
    const stderr = { write: (text: string) => complaints.push(text) };
    const exit = await run(argv, { stdout, stderr, environment: {}, cwd: folder, signal: new AbortController().signal });
    return { exit, written: written.join(''), complaints: complaints.join('') };
  };
  assert.deepEqual(await onTerminal('dump', 'data', 'inside/file'), { exit: exitCodes.done, written: 'content\n', complaints: '' });
  const archive = await onTerminal('dump', 'data', 'inside');
  assert.deepEqual([archive.exit, archive.written], [exitCodes.usage, '']);
  assert.match(archive.complaints, /not written to a terminal/);
  assert.equal((await onTerminal('dump', 'data', '--output', 'x.tar')).exit, exitCodes.done);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('x.tar')),
    ['x.tar'],
  );

  const wrong = [
    ['dump', 'data', '--archive', 'rar'],
    ['dump', 'data', '--output', '-'],
    ['diff', 'data'],
    ['diff', 'data', 'data', '--content'],
    ['find', 'a', '--blob', '--pack'],
  ];
  for (const argv of wrong) assert.equal((await holdfast(...argv)).exit, exitCodes.usage, argv.join(' '));
});
