import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../control/configuration/configuration.ts';
import type { Log } from '../control/logging/log.ts';
import type { CommandContext } from './command.ts';
import { daemonLog } from './daemon-log.ts';

/** What a log writes to stdout and stderr. */
function written(given: { json?: boolean; quiet?: boolean; isTTY?: boolean; environment?: NodeJS.ProcessEnv }, use: (log: Log) => void) {
  const [out, err]: string[][] = [[], []];
  const { json = false, quiet = false, isTTY = false, environment = {} } = given;
  const context = {
    global: { json, quiet, verbose: false, color: false },
    stdout: { write: (text: string) => out?.push(text) },
    stderr: { write: (text: string) => err?.push(text), isTTY },
    environment,
  } as unknown as CommandContext;
  use(daemonLog(context, { project: 'shop' } as Configuration));
  return { out: (out ?? []).join(''), err: (err ?? []).join('') };
}

const both = (log: Log) => {
  log({ severity: 'info', eventName: 'holdfast.x', body: 'fine', attributes: {} });
  log({ severity: 'error', eventName: 'holdfast.x', body: 'bad \u001b[2J', attributes: {} });
};

test('on a terminal: text, which cannot move the cursor', () => {
  const { out, err } = written({ isTTY: true }, both);
  assert.equal(out, '');
  assert.match(err, /^\d\d:\d\d:\d\d fine\n\d\d:\d\d:\d\d bad \S+\[2J\n$/);
  assert.ok(!err.includes('\u001b'));
});

test('elsewhere: JSON on stderr; with --json on stdout', () => {
  const { out, err } = written({}, both);
  assert.equal(out, '');
  const lines = err.trimEnd().split('\n');
  assert.equal(lines.length, 2);
  assert.equal((JSON.parse(lines[0] as string) as { resource: Record<string, string> }).resource['holdfast.project'], 'shop');
  const json = written({ json: true, isTTY: true }, both);
  assert.equal(json.err, '');
  assert.equal(json.out.trimEnd().split('\n').length, 2);
});

test('--quiet leaves warnings and errors, in both forms', () => {
  for (const isTTY of [true, false]) {
    const { err } = written({ quiet: true, isTTY }, both);
    assert.ok(err.includes('bad') && !err.includes('fine'));
  }
});

test('no secrets of the environment, no passwords of URLs, in either form', () => {
  for (const isTTY of [true, false]) {
    const { err } = written({ isTTY, environment: { AWS_SECRET_ACCESS_KEY: 'hunter2hunter2' } }, (log) =>
      log({
        severity: 'error',
        eventName: 'holdfast.x',
        body: 'rest:https://me:pass-word@host/ said hunter2hunter2',
        attributes: { url: 'https://me:pass-word@host/', word: 'hunter2hunter2' },
      }),
    );
    assert.ok(err.includes('host'));
    assert.doesNotMatch(err, /pass-word|hunter2/);
  }
});
