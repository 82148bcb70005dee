/** How often a backup over SFTP waits for the other end of a long line. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../peers.ts';
import { createProject, ended, fillVolume, start } from './project.ts';

/** Long against what a busy machine takes between two requests: else those look as if they had waited for each other. */
const delayMs = 200;
const script = join(import.meta.dirname, '..', 'counting-sftp-server.ts');
const servers = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server', '/usr/lib/ssh/sftp-server'];

test('a backup that changes nothing makes ten round trips at most over SFTP', async (t) => {
  const program = servers.find((path) => existsSync(path));
  if (program === undefined) {
    assert.ok(process.env.CI !== 'true', 'OpenSSH has an sftp-server');
    return t.skip('OpenSSH has no sftp-server here');
  }
  const project = createProject(t);
  const log = join(scratch(t), 'log');
  const configure = (lineMs: number) => {
    const command = `${process.execPath} ${script} ${program} ${lineMs} ${log}`;
    const settings = {
      volumes: { data: { source: { directory: project.volume } } },
      repositories: { remote: { url: `sftp:far:${project.repository}`, passwordFile: project.keyFile, options: { command } } },
    };
    writeFileSync(join(project.folder, 'holdfast.yaml'), JSON.stringify(settings));
  };
  const caches = scratch(t);
  const backup = async () => {
    const { code, stderr } = await ended(start(project.folder, ['--json', '--cache-dir', caches, 'backup']));
    assert.equal(code, 0, stderr);
  };
  configure(0);
  fillVolume(project.volume, 1_000_000, 'round trips');
  await backup();
  writeFileSync(join(project.volume, 'later'), 'later');
  await backup();
  rmSync(log);
  configure(delayMs);
  await backup();

  const asked = readFileSync(log, 'utf8').trim().split('\n');
  const roundOf = (line = '') => Number(line.split(' ', 1));
  const opening = roundOf(asked.find((line) => line.includes('/locks'))) - 1;
  const beyond = Math.max(...asked.map(roundOf)) - opening;
  t.diagnostic(`${opening} round trips to open, ${beyond} after that`);
  assert.ok(beyond <= 10, `${beyond} round trips:\n${asked.join('\n')}`);
  assert.ok(!asked.some((line) => line.includes('/data/')), 'nothing is read from packs');
});
