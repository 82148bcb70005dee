/** Commands behind guard snapshots, on a real Docker Engine. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodes } from '../../src/model/errors.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { dockerProject } from './volumes-project.ts';

test('guard', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');
  const { docker, directoryOf } = engine;
  const { holdfast, put } = await dockerProject(t, engine, ['data']);
  const file = () => join(directoryOf('shop_data'), 'file');
  put('data', 'file', 'precious');

  await t.test('the exit code of the command is passed on; volumes stay as it left them', async () => {
    const { exit, stdout } = await holdfast('guard', '--', 'sh', '-c', `echo spoiled > ${file()}; exit 7`);
    assert.equal(exit, 7);
    assert.equal(readFileSync(file(), 'utf8'), 'spoiled\n');
    const undo = /to go back: holdfast (.*)$/m.exec(stdout)?.[1] as string;
    assert.equal((await holdfast(...undo.split(' '))).exit, exitCodes.done);
    assert.equal(readFileSync(file(), 'utf8'), 'precious');
  });

  await t.test('volumes that the command has removed are put back', async () => {
    const { exit } = await holdfast('guard', '--rollback-on-failure', '--', 'sh', '-c', 'docker volume rm shop_data && false');
    assert.equal(exit, 1);
    assert.equal(readFileSync(file(), 'utf8'), 'precious');
    assert.equal(docker('volume', 'inspect', '--format', '{{index .Labels "com.docker.compose.volume"}}', 'shop_data'), 'data');
  });

  await t.test('so they are when a container is not healthy afterwards', async () => {
    const start = `echo migrated > ${file()}; docker run -d --name sick --network none -v shop_data:/data --health-cmd false --health-interval 100ms --health-retries 1 busybox:test sh -c 'trap exit TERM; sleep 1000 & wait'`;
    const { exit, stderr } = await holdfast('guard', '--rollback-on-failure', '--health-timeout', '20s', '--', 'sh', '-c', start);
    assert.equal(exit, exitCodes.failed, stderr);
    assert.match(stderr, /container sick is unhealthy/);
    assert.equal(readFileSync(file(), 'utf8'), 'precious');
    docker('rm', '--force', 'sick');
  });

  await t.test('without a complete guard nothing is run', async () => {
    const said = await holdfast('guard', '--password-file', '/dev/null', '--', 'sh', '-c', `echo spoiled > ${file()}`);
    assert.notEqual(said.exit, exitCodes.done);
    assert.equal(readFileSync(file(), 'utf8'), 'precious');
    const dry = await holdfast('guard', '--dry-run', '--', 'sh', '-c', `echo spoiled > ${file()}`);
    assert.equal(dry.exit, exitCodes.done, dry.stderr);
    assert.equal(readFileSync(file(), 'utf8'), 'precious');
    assert.equal((await holdfast('guard', '--', 'no-such-program')).exit, 127);
  });
});
