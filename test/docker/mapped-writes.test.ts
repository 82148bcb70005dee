/** A program that writes through mapped memory, which the times of its file need not tell, between the two passes of a backup. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { run } from '../../src/cli/run.ts';
import { canSettle } from '../../src/engine/source/mapped-writes.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { mappedFile, pageBytes } from '../mapped-file.ts';
import { scratch } from '../peers.ts';

test('what is written through mapped memory after the warm pass is in the snapshot', async (t) => {
  const folder = scratch(t);
  if (!(await canSettle(folder))) return t.skip('the temporary folder is in memory');
  const data = join(folder, 'data');
  mkdirSync(data);
  const file = mappedFile(t, data);
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  engine.docker(
    'run',
    '--detach',
    '--network=none',
    `--volume=${data}:/data`,
    'busybox:test',
    'sh',
    '-c',
    'trap exit TERM; sleep 1000 & wait',
  );
  writeFileSync(join(folder, 'holdfast.yaml'), 'project: shop\nvolumes: { data: { source: { directory: ./data }, cut: pause } }\n');
  let onStarted: () => void = () => undefined;
  let stderr = '';
  const holdfast = (...argv: string[]) =>
    run(['--json', ...argv], {
      stdout: { write: (text: string) => text.includes('"volume-started"') && onStarted() },
      stderr: { write: (text: string) => (stderr += text) },
      environment: { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(folder, 'state'), HOME: folder },
      cwd: folder,
      signal: new AbortController().signal,
    });
  assert.equal(await holdfast('init'), 0, stderr);
  // Not before: the Engine flushes file systems when it makes containers.
  file.write(1);
  // What was touched within the second before a warm pass is read again in any case: this is about what is older.
  await setTimeout(2100);
  const before = file.ctime();
  let started = 0;
  onStarted = () => {
    // The warm pass starts in silence: this is the second.
    started += 1;
    file.write(2);
  };
  assert.equal(await holdfast('backup'), 0, stderr);
  assert.equal(started, 1);
  assert.ok(file.ctime() > before);
  onStarted = () => undefined;
  assert.equal(await holdfast('restore', 'data', '--to', join(folder, 'restored')), 0, stderr);
  assert.deepEqual(readFileSync(join(folder, 'restored', 'file')), Buffer.alloc(pageBytes, 2));
});
