import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine, isNotFound } from './engine.ts';

/** Stands in for ssh and what it runs: answers every request with 404, and stays. */
const ssh = `#!${process.execPath}
process.stdin.on('data', () => process.stdout.write('HTTP/1.1 404 Not Found\\r\\nContent-Type: application/json\\r\\nContent-Length: 21\\r\\n\\r\\n{"message":"no such"}'));
`;

test('over ssh, what the Engine itself refuses is not held up by waiting for what ssh may say', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ssh-'));
  const path = process.env.PATH;
  process.env.PATH = `${folder}:${path}`;
  t.after(() => {
    process.env.PATH = path;
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, 'ssh'), ssh, { mode: 0o755 });
  const engine = createDockerEngine({ kind: 'ssh', destination: 'me@engine', port: undefined });
  t.after(() => engine.close());
  const took: number[] = [];
  for (let i = 0; i < 3; i++) {
    const beginMs = performance.now();
    await assert.rejects(
      engine.call('inspect', (abortSignal) => engine.docker.getVolume('x').inspect({ abortSignal })),
      isNotFound,
    );
    took.push(performance.now() - beginMs);
  }
  assert.ok(Math.min(...took) < 900, `took ${took.map(Math.round)} ms`);
});
