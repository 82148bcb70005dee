/** The tables of errors and findings in docs/operations.md say what the source says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { operationsPage, withTables } from '../../scripts/build-error-tables.ts';
import { catalogue, exitCodes } from '../../src/model/errors.ts';

const page = readFileSync(operationsPage, 'utf8');

test('the tables of errors and findings are up to date', () => {
  assert.equal(page, withTables(page), 'run: node scripts/build-error-tables.ts');
});

test('every exit code is explained, and every error has one of them', () => {
  const explained = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  const known = Object.values(exitCodes).sort((a, b) => a - b);
  assert.deepEqual(explained, known);
  for (const { exit } of Object.values(catalogue)) assert.ok(known.some((code) => code === exit));
});
