/** A daemon that is killed in the middle of a start under an idempotency key, before and after the job is made, starts it once. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Job } from '../../src/control/jobs/job.ts';
import { daemonProject, job, jobsOf, runsOf, startDaemon } from './daemon-process.ts';

/** Kills the process at the statement that makes a job. */
const killer = `
  import { DatabaseSync } from 'node:sqlite';
  const { prepare } = DatabaseSync.prototype;
  DatabaseSync.prototype.prepare = function (sql) {
    const statement = prepare.call(this, sql);
    if (!sql.startsWith('INSERT OR IGNORE INTO jobs')) return statement;
    const { run } = statement;
    statement.run = (...values) => {
      if (process.env.KILL_JOB === 'after') run.apply(statement, values);
      process.kill(process.pid, 'SIGKILL');
    };
    return statement;
  };
`;

for (const moment of ['before', 'after'] as const)
  test(`a daemon that is killed ${moment} the job of a key is made does it once`, async (t) => {
    const project = daemonProject(t, '{}');
    const { folder, environment } = project;
    const hook = join(folder, 'killer.mjs');
    writeFileSync(hook, killer);
    const socketPath = join(folder, 'api.sock');
    const dying = startDaemon(t, { folder, environment: { ...environment, NODE_OPTIONS: `--import=${hook}`, KILL_JOB: moment } });
    await dying.line(isReady);
    await assert.rejects(start(socketPath), /socket hang up|ECONNRESET/);
    assert.equal(await dying.end(), null);

    const daemon = startDaemon(t, { folder, environment });
    await daemon.line(isReady);
    const first = await start(socketPath);
    assert.equal(first.status, 201);
    assert.equal((await start(socketPath)).job.id, first.job.id);
    await daemon.line(job('succeeded'));
    assert.equal(await daemon.end(), 0);
    assert.deepEqual(
      jobsOf(project).map(({ id }) => id),
      [first.job.id],
    );
    assert.equal(runsOf(project).size, 1);
  });

const isReady = ({ body }: Record<string, unknown>): boolean => /has no schedule of backups/.test(String(body));
function start(socketPath: string): Promise<{ status: number; job: Job }> {
  const body = JSON.stringify({ spec: { kind: 'backup', repository: 'local', class: 'manual', volumes: ['one'] } });
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': 'deploy-17' };
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/api/v1/jobs', method: 'POST', headers, agent: false }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      resolve({ status: response.statusCode ?? 0, job: JSON.parse(Buffer.concat(parts).toString('utf8')) as Job });
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
