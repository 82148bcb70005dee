/** Each role, each operation: what is allowed is what is written out here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basePath, type Operation, type OperationId, operationIds, operations } from '../../src/api/contract/operations.ts';
import { type Role, roles } from '../../src/api/contract/roles.ts';
import type { AlertTable } from '../../src/control/state/alert-table.ts';
import { post, raisedAlert, reads, snapshotId, startTestServer } from './api-server.ts';

/** V viewer, O operator, R restore-only, A admin. */
const expected: Record<OperationId, string> = {
  getProject: 'VORA',
  getStatus: 'VORA',
  listVolumes: 'VORA',
  getVolume: 'VORA',
  listUsage: 'VO-A',
  listObjectives: 'VO-A',
  listRepositories: 'VORA',
  listRestorePoints: 'VORA',
  listSnapshots: 'VORA',
  getSnapshot: 'VORA',
  listFiles: '-ORA',
  downloadFile: '--RA',
  diffSnapshots: '-ORA',
  startJob: '-O-A',
  listJobs: 'VO-A',
  getJob: 'VO-A',
  cancelJob: '-O-A',
  readJobLog: '-O-A',
  followJob: '-O-A',
  listDrills: 'VO-A',
  listAlerts: 'VO-A',
  getAlert: 'VO-A',
  acknowledgeAlert: '-O-A',
  listAuditLog: '---A',
  followEvents: 'VO-A',
};

const endless: OperationId[] = ['followEvents'];

test('every role may do what it is for, and nothing else', async (t) => {
  const { plane, ask, tokens } = await startTestServer(t, {
    read: reads(''),
    execute: async () => 0,
  });
  assert.deepEqual(operationIds.toSorted(), Object.keys(expected).toSorted());
  const alert = raisedAlert('volume database rpo');
  (plane.alerts as AlertTable).put([alert]);
  const job = plane.start({ kind: 'usage' }, 'test').id;
  const values: Record<string, string> = {
    volume: 'database',
    snapshot: snapshotId('a'),
    later: snapshotId('b'),
    job,
    alert: encodeURIComponent(alert.id),
  };
  for (const id of operationIds) {
    const operation: Operation = operations[id];
    const path = basePath + operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] as string);
    const given =
      operation.method === 'post' ? post(operation.body === undefined ? '' : id === 'startJob' ? { spec: { kind: 'usage' } } : {}) : {};
    for (const [place, role] of roles.entries()) {
      const mayDo = expected[id][place] !== '-';
      if (mayDo && endless.includes(id)) continue;
      const { status } = await ask(path, { ...given, token: tokens[role as Role] });
      assert.equal(status, mayDo ? (id === 'startJob' ? 201 : 200) : 403, `${role} ${id}`);
    }
    assert.equal((await ask(path, { ...given, token: null })).status, 401, `${id} without a token`);
  }
});

test('only the liveness is told without a token, and it tells nothing', async (t) => {
  const { ask } = await startTestServer(t);
  const health = await ask('/healthz', { token: null });
  assert.deepEqual([health.status, health.text], [200, 'ok\n']);
  for (const path of ['/', '/metrics', `${basePath}/openapi.json`, `${basePath}/nothing`, '/healthz/..'])
    assert.equal((await ask(path, { token: null })).status, 401, path);
});
