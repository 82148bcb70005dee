/** `jobs`, and `snapshots --server`, at a daemon whose jobs do what the test says. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { run } from '../../src/cli/run.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { evidenceOf, startTestServer, type TestServerOptions } from '../api/api-server.ts';
import { scratch } from '../peers.ts';

async function commandLine(t: TestContext, options: TestServerOptions) {
  const { address, tokens } = await startTestServer(t, options);
  const cwd = scratch(t);
  return async (...argv: string[]) => {
    let [stdout, stderr] = ['', ''];
    const streams = { stdout: { write: (text: string) => (stdout += text) }, stderr: { write: (text: string) => (stderr += text) } };
    const environment = { HOLDFAST_TOKEN: tokens.operator };
    const { signal } = new AbortController();
    const exit = await run([...argv, '--server', address], { ...streams, environment, cwd, signal });
    return { exit, stdout, stderr };
  };
}

test('who follows a job ends as it does', async (t) => {
  let code = 0;
  const holdfast = await commandLine(t, {
    execute: async (_, watch) => {
      watch.onLine(JSON.stringify({ event: 'message', level: 'warning', message: `will end with ${code}` }));
      return code;
    },
  });
  for (const [ended, exit] of [
    [exitCodes.done, exitCodes.done],
    [exitCodes.incomplete, exitCodes.incomplete],
    [exitCodes.wrongPassword, exitCodes.wrongPassword],
    [exitCodes.noRepository, exitCodes.noRepository],
  ] as const) {
    code = ended;
    const followed = await holdfast('jobs', 'start', 'drill', '--follow', '--quiet');
    assert.equal(followed.exit, exit, followed.stderr);
    assert.match(followed.stdout, new RegExp(`:\\d\\d warning will end with ${ended}$`, 'm'));
  }
});

test('what cannot be asked for is refused before anything is started', async (t) => {
  const started: string[] = [];
  const holdfast = await commandLine(t, {
    execute: async ({ spec }) => {
      started.push(spec.kind);
      return 0;
    },
  });
  for (const wrong of [
    ['start', 'backup', '--priority', 'high'],
    ['start', 'backup', '--priority', '10'],
    ['start', 'check', '--part', '1'],
    ['start', 'copy', '--from', 'local'],
    ['start', 'dance'],
    ['list', '--volume', 'database', '--volume', 'uploads'],
    ['list', '--limit', '0'],
  ])
    assert.equal((await holdfast('jobs', ...wrong)).exit, exitCodes.usage, wrong.join(' '));
  assert.deepEqual(started, []);
  assert.equal((await holdfast('jobs')).stderr, 'no jobs\n');
});

test('snapshots of a daemon are chosen by volume, and by nothing that would be passed over', async (t) => {
  const evidence = [evidenceOf('a'), evidenceOf('b', { volume: 'uploads' })];
  const holdfast = await commandLine(t, { evidence });
  const volumesOf = async (...words: string[]) =>
    (await holdfast('snapshots', '--json', ...words)).stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).volume);
  assert.deepEqual((await volumesOf()).sort(), ['database', 'uploads']);
  assert.deepEqual(await volumesOf('uploads'), ['uploads']);
  assert.deepEqual(await volumesOf('--volume', 'uploads'), ['uploads']);
  const tagged = await holdfast('snapshots', '--tag', 'release');
  assert.equal(tagged.exit, exitCodes.usage);
  assert.match(tagged.stderr, /not chosen by --tag/);
});
