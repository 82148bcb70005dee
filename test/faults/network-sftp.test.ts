/** A repository behind SSH connections that break again and again: everything completes, and nothing is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '../peers.ts';
import { requireSshServer, type SftpServer, serveSftp } from '../sftp-server.ts';
import {
  assertClean,
  assertSameManifest,
  createProject,
  ended,
  fillVolume,
  manifest,
  type Project,
  type Run,
  randomNumbers,
  start,
  temporaryFiles,
} from './project.ts';

type Link = {
  port: number;
  broken: () => number /** Bytes, in both directions, after which a connection breaks. */;
  breakAfter: (bytes: () => number) => void;
};

/** A way to a server on which connections break. */
async function startLink(t: TestContext, { port }: SftpServer): Promise<Link> {
  let broken = 0;
  let nextBreak: () => number = () => Number.POSITIVE_INFINITY;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    let left = nextBreak();
    const end = () => {
      for (const socket of [near, far]) {
        socket.destroy();
        open.delete(socket);
      }
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on('error', end).on('close', end);
      from.on('data', (bytes: Buffer) => {
        left -= bytes.length;
        if (left >= 0) return;
        if (!near.destroyed) broken++;
        end();
      });
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  const breakAfter = (bytes: () => number) => {
    nextBreak = bytes;
  };
  return { port: (server.address() as AddressInfo).port, broken: () => broken, breakAfter };
}

type Remote = Project & { link: Link; run: (...args: string[]) => Promise<Run> };

/** A project whose repository is a folder, which commands reach over the link. */
async function remoteProject(t: TestContext): Promise<Remote> {
  const server = await serveSftp(t, scratch(t));
  const link = await startLink(t, server);
  const project = createProject(t);
  const args = `${server.args} -p ${link.port} -o HostKeyAlias=[127.0.0.1]:${server.port}`;
  const settings = {
    volumes: { data: { source: { directory: project.volume } } },
    repositories: { remote: { url: `sftp:${server.host}:${project.repository}`, passwordFile: project.keyFile, options: { args } } },
  };
  writeFileSync(join(project.folder, 'holdfast.yaml'), JSON.stringify(settings));
  const global = ['--json', '--cache-dir', scratch(t)];
  return { ...project, link, run: (...command) => ended(start(project.folder, [...global, ...command])) };
}

function succeeded({ code, stderr }: Run): void {
  assert.equal(code, 0, stderr);
}

if (requireSshServer()) {
  test('backup, restore, check and prune complete while connections break', async (t) => {
    const project = await remoteProject(t);
    const { link, run, volume, folder } = project;
    const random = randomNumbers(11);
    // In turn: far enough for some packs, during the handshake, and far enough for all that is asked of it.
    let next = 0;
    link.breakAfter(() => [4_000_000 * random(), 15_000 * random(), 40_000_000][next++ % 3] as number);
    fillVolume(volume, 8_000_000, 'first');
    succeeded(await run('backup', '--class', 'scheduled'));
    fillVolume(volume, 2_000_000, 'second');
    succeeded(await run('backup', '--class', 'scheduled'));
    succeeded(await run('check', '--read-data'));
    succeeded(await run('forget', '--keep-last', '1', '--force'));
    succeeded(await run('prune', '--max-unused', '0'));
    succeeded(await run('restore', '--to', join(folder, 'restored'), '--verify'));
    assert.ok(link.broken() >= 5, `${link.broken()} broken`);
    link.breakAfter(() => Number.POSITIVE_INFINITY);
    const [only = ''] = readdirSync(join(folder, 'restored'));
    assertSameManifest(manifest(join(folder, 'restored', only === 'data' ? only : '')), manifest(volume), 'the restored volume');
    // What broken writes left is not in the way, and is removed once it is old.
    t.diagnostic(`${link.broken()} connections broken; ${temporaryFiles(project.repository).length} unfinished files left`);
    rmSync(join(folder, 'holdfast.yaml'));
    const local = { folder, volume, keyFile: project.keyFile, repository: project.repository };
    const settings = {
      volumes: { data: { source: { directory: volume } } },
      repositories: { local: { url: project.repository, passwordFile: project.keyFile } },
    };
    writeFileSync(join(folder, 'holdfast.yaml'), JSON.stringify(settings));
    assertClean(local, { readData: true });
  });
}
