import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { rememberLines } from './last-lines.ts';

function lastLinesOf(text: string, secrets: readonly string[] = []): Promise<string> {
  const log = new PassThrough();
  const lines = rememberLines(log, secrets);
  return new Promise((resolve) => {
    log.on('end', () => resolve(lines()));
    log.end(text);
  });
}

test('the last lines are kept, without times and what a terminal would obey; a log without end costs no memory', async () => {
  const log = Array.from({ length: 1000 }, (_, i) => `2026/11/23 01:02:03 NOTICE: line ${i}\u001b[31m`).join('\n');
  assert.equal(await lastLinesOf(`${log}\n`), [995, 996, 997, 998, 999].map((i) => `NOTICE: line ${i} [31m`).join('; '));
  assert.ok((await lastLinesOf('x'.repeat(10_000_000))).length <= 500);
});

test('no credentials: those that are known, those of URLs, and values of what is named like one', async () => {
  const said = await lastLinesOf(
    'open https://me:hidden1@host/x: pass=hidden2, "token": "hidden3" secret_access_key:hidden4 known-hidden5',
    ['known-hidden5'],
  );
  assert.doesNotMatch(said, /hidden/);
  assert.match(said, /open https:\/\/\*\*\*@host\/x/);
});
