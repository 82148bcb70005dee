import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeJournal } from '../../src/control/cut/journal.ts';
import { readByProcess } from '../../src/control/jobs/read-by-process.ts';
import { holdfastJson, holdfastProgram } from '../programs.ts';
import { daemonProject } from './daemon-process.ts';

test('what a daemon reads by leaves to others what a killed run has halted: nobody would see its warnings', async (t) => {
  const { folder, environment } = daemonProject(t, '{}');
  const state = environment.HOLDFAST_STATE_DIR as string;
  const run = '20260101T000000Z-aa';
  await writeJournal(state, { run, project: 'shop', reach: {}, groups: [], hooks: { onError: [], after: [] } });
  const journals = join(state, 'cuts');
  const file = join(journals, `${run}.json`);
  const { evidence, ...journal } = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...journal, evidence: { ...evidence, boot: 'another' } }));

  const program = { command: [holdfastProgram], directory: folder, environment: { ...process.env, ...environment } };
  const read = await Array.fromAsync(readByProcess(program, ['snapshots', '--json'], new AbortController().signal));
  assert.deepEqual([read, readdirSync(journals)], [[], [`${run}.json`]]);
  holdfastJson(folder, ['snapshots'], { environment });
  assert.deepEqual(readdirSync(journals), []);
});
