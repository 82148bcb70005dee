/** Alerts, listed, acknowledged and silenced: by the API, and by the command line against it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { run } from '../../src/cli/run.ts';
import type { Alert } from '../../src/control/alerts/alert.ts';
import type { AlertTable } from '../../src/control/state/alert-table.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { post, raisedAlert, startTestServer } from './api-server.ts';

async function serverWith(t: TestContext, alerts: Alert[]) {
  const server = await startTestServer(t);
  (server.plane.alerts as AlertTable).put(alerts);
  const alertsCommand = async (token: string, ...words: string[]) => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(['alerts', ...words, '--server', server.address], {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      environment: { HOLDFAST_TOKEN: token },
      cwd: server.folder,
      signal: new AbortController().signal,
    });
    return { exit, stdout, stderr };
  };
  return { ...server, alertsCommand };
}

const path = (id: string, action = '') => `/api/v1/alerts/${encodeURIComponent(id)}${action}`;
type Shown = { id: string; acknowledged?: { by: string }; silenced?: { by: string; untilMs: number } };

test('more than a thousand are listed, page by page, each once, the newest first', async (t) => {
  const made = Array.from({ length: 1203 }, (_, i) => raisedAlert(`volume v${i} rpo`, 1_000_000 + Math.floor(i / 7)));
  const { tokens, alertsCommand, ask } = await serverWith(t, made);
  const { exit, stdout, stderr } = await alertsCommand(tokens.viewer, '--limit', '5000', '--json');
  assert.equal(exit, exitCodes.done, stderr);
  const listed = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Alert);
  assert.equal(new Set(listed.map(({ id }) => id)).size, 1203);
  assert.ok(listed.every((alert, i) => i === 0 || (listed[i - 1] as Alert).firstSeenMs >= alert.firstSeenMs));
  const wrong = await ask('/api/v1/alerts?cursor=nowhere', { token: tokens.viewer });
  assert.equal(wrong.status, 400);
  assert.equal((await ask('/api/v1/alerts?state=ended', { token: tokens.viewer })).text, '{"items":[]}');
});

test('who acknowledges is known, to all and to the audit log; it takes the role', async (t) => {
  const alert = raisedAlert('volume database rpo');
  const { plane, ask, tokens } = await serverWith(t, [
    alert,
    { ...raisedAlert('volume uploads rpo'), state: 'pending', raisedMs: undefined },
  ]);
  assert.equal((await ask(path(alert.id, '/acknowledge'), { ...post({}), token: tokens.viewer })).status, 403);
  const { status, body } = await ask(path(alert.id, '/acknowledge'), { ...post({ silenceMs: 3_600_000 }), token: tokens.operator });
  assert.equal(status, 200);
  const { acknowledged, silenced } = body as Shown;
  assert.deepEqual([acknowledged?.by, silenced?.by], ['the-operator', 'the-operator']);
  assert.deepEqual((await ask(path(alert.id), { token: tokens.viewer })).body, body);
  const [entry] = plane.auditLog.list({ limit: 1 });
  assert.deepEqual(
    [entry?.who, entry?.what, entry?.document],
    ['the-operator', 'alert-acknowledge', { alert: alert.id, silenceMs: 3_600_000 }],
  );
  // What nobody was told of is not there to be taken note of.
  for (const id of ['volume uploads rpo', 'volume nothing rpo@5', '../../v1/status'])
    assert.equal((await ask(path(id, '/acknowledge'), { ...post({}), token: tokens.operator })).status, id.startsWith('.') ? 400 : 404, id);
  for (const wrong of [{ silenceMs: -1 }, { silenceMs: 31 * 86_400_000 }, { silenceMs: 1.5 }, { silence: 1 }])
    assert.equal((await ask(path(alert.id, '/acknowledge'), { ...post(wrong), token: tokens.operator })).status, 400);
  const again = await ask(path(alert.id, '/acknowledge'), { ...post({ silenceMs: 0 }), token: tokens.admin });
  assert.equal((again.body as Shown).silenced, undefined);
});

test('the command line names alerts shortly, acknowledges all that are named or none, and can say what it would do', async (t) => {
  const alerts = [raisedAlert('volume database rpo', 2_000), raisedAlert('repository local repository-unreachable', 1_000)];
  const over = { ...raisedAlert('job forget local', 500), state: 'ended' as const, endedMs: 900 };
  const { tokens, alertsCommand, plane } = await serverWith(t, [...alerts, over]);
  const { stdout } = await alertsCommand(tokens.viewer);
  const [, first, second, ...rest] = stdout.trimEnd().split('\n');
  assert.match(first ?? '', /^[0-9a-f]{8} +broken +1970-01-01 00:00 +volume database +its newest good snapshot is too old +-$/);
  assert.deepEqual(rest, []);
  const [id, other] = [first, second].map((line) => line?.slice(0, 8) ?? '') as [string, string];
  assert.equal((await alertsCommand(tokens.viewer, '--ended')).stdout.trimEnd().split('\n').length, 4);
  assert.equal((await alertsCommand(tokens.operator, 'acknowledge', id, 'ffffffff')).exit, exitCodes.failed);
  assert.equal((await alertsCommand(tokens.operator, 'acknowledge', id, '--dry-run')).exit, exitCodes.done);
  assert.equal(plane.alerts.get(alerts[0]?.id as string)?.acknowledged, undefined);
  const done = await alertsCommand(tokens.operator, 'acknowledge', id, other, '--silence', '4h');
  assert.equal(done.exit, exitCodes.done, done.stderr);
  assert.match(done.stdout, /^acknowledged, silent until \d{4}-.*: volume database rpo: its newest/);
  for (const { id } of alerts) assert.equal(plane.alerts.get(id)?.acknowledged?.by, 'the-operator');
  assert.match((await alertsCommand(tokens.viewer)).stdout, /by the-operator, silent until/);
  for (const wrong of [['acknowledge'], ['list', id], ['forget', id], ['acknowledge', id, '--silence', '31d'], ['--limit', '0']])
    assert.equal((await alertsCommand(tokens.operator, ...wrong)).exit, exitCodes.usage, wrong.join(' '));
});
