import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { HoldfastError } from '../model/errors.ts';
import { errorLines } from './output/errors.ts';
import { createStyle } from './output/text.ts';
import { findPassword, type PasswordSources } from './password.ts';

const find = async (sources: Partial<PasswordSources>): Promise<string> =>
  (await findPassword({ file: undefined, environment: {}, configured: undefined, cwd: '/', ...sources })).toString();
const missing = (sources: Partial<PasswordSources>, message: RegExp) =>
  assert.rejects(
    find(sources),
    (error) => error instanceof HoldfastError && error.code === 'password-missing' && message.test(error.message),
  );

test('the sources are asked in the order that is documented', async (t) => {
  const folder = scratch(t);
  for (const name of ['option', 'holdfast', 'yaml', 'restic']) writeFileSync(join(folder, name), `of ${name}\n`);
  const sources: PasswordSources = {
    file: 'option',
    environment: {
      HOLDFAST_PASSWORD_FILE: 'holdfast',
      HOLDFAST_PASSWORD: 'of the environment',
      RESTIC_PASSWORD_FILE: 'restic',
      RESTIC_PASSWORD: 'of restic in the environment',
    },
    configured: { passwordFile: join(folder, 'yaml'), passwordCommand: ['echo', 'of a command'] },
    cwd: folder,
  };
  const found: string[] = [];
  const ask = async () => found.push(await find(sources));
  await ask();
  sources.file = undefined;
  await ask();
  delete sources.environment.HOLDFAST_PASSWORD_FILE;
  await ask();
  delete sources.environment.HOLDFAST_PASSWORD;
  await ask();
  sources.configured = { passwordFile: undefined, passwordCommand: ['echo', 'of a command'] };
  await ask();
  sources.configured = { passwordFile: undefined, passwordCommand: undefined };
  await ask();
  delete sources.environment.RESTIC_PASSWORD_FILE;
  await ask();
  assert.deepEqual(found, [
    'of option',
    'of holdfast',
    'of the environment',
    'of yaml',
    'of a command',
    'of restic',
    'of restic in the environment',
  ]);
  delete sources.environment.RESTIC_PASSWORD;
  await missing(sources, /no password was given/);
});

test('white space around a password in a file is not part of it', async (t) => {
  const file = join(scratch(t), 'file');
  writeFileSync(file, '  two words \r\n\n');
  assert.equal(await find({ file }), 'two words');
  writeFileSync(file, ' \n');
  await missing({ file }, /is empty/);
});

test('a file that is named and cannot be read is an error that names it: no other source takes its place', async () => {
  const sources = { file: '/nowhere/key', environment: { HOLDFAST_PASSWORD: 'other' } };
  await missing(sources, /\/nowhere\/key/);
  const error: unknown = await find(sources).catch((thrown) => thrown);
  const said = errorLines(error, createStyle(false), false).join('\n');
  assert.equal(said.split('ENOENT').length, 2, `the reason is told once:\n${said}`);
});

test('a command that fails or prints nothing is an error that tells nothing of what it printed', async () => {
  const configured = (script: string) => ({ configured: { passwordFile: undefined, passwordCommand: ['sh', '-c', script] } });
  await missing(configured('echo secret; echo secret >&2; exit 3'), /^the password command sh failed \(3\)$/);
  await missing(configured('true'), /printed nothing/);
  assert.equal(await find(configured('echo first line; echo second')), 'first line');
});

test('commands and the terminal come in their turn, and the source of a copy has names of its own', async () => {
  const environment: NodeJS.ProcessEnv = {
    HOLDFAST_PASSWORD_COMMAND: 'echo ours; echo more',
    HOLDFAST_PASSWORD: 'ours, plain',
    RESTIC_PASSWORD_COMMAND: "printf '%s' restics",
    HOLDFAST_FROM_PASSWORD: 'of the source',
    RESTIC_FROM_PASSWORD: "of restic's source",
  };
  const ask = async () => Buffer.from('asked');
  assert.equal(await find({ environment, command: 'echo given', ask }), 'given');
  assert.equal(await find({ environment, ask }), 'ours');
  assert.equal(await find({ environment, role: 'FROM_', ask }), 'of the source');
  delete environment.HOLDFAST_PASSWORD_COMMAND;
  assert.equal(await find({ environment, ask }), 'ours, plain');
  delete environment.HOLDFAST_PASSWORD;
  delete environment.HOLDFAST_FROM_PASSWORD;
  assert.equal(await find({ environment, ask }), 'restics');
  assert.equal(await find({ environment, role: 'FROM_', ask }), "of restic's source");
  assert.equal(await find({ environment: {}, ask }), 'asked');
  await missing({ command: 'echo secret; exit 4' }, /^the password command \/bin\/sh failed \(4\)$/);
});
