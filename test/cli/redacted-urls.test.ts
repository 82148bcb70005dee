/** Passwords in URLs of repositories never show, whatever command gets one, wherever it stands, and however the command ends. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { commandTable } from '../../src/cli/command-table.ts';
import { run } from '../../src/cli/run.ts';
import { scratch } from '../peers.ts';

const secret = 's3cr3t-w0rd';

type Said = { exit: number; text: string };

/** @param stop is aborted when a first attempt has failed: nobody need wait for the others. */
async function say(cwd: string, argv: string[], environment: NodeJS.ProcessEnv = {}, stop = new AbortController()): Promise<Said> {
  let text = '';
  const sink = {
    write: (more: string) => {
      text += more;
      if (text.includes('(attempt 1)')) stop.abort();
    },
  };
  const whole = { HOLDFAST_PASSWORD: 'x', XDG_CACHE_HOME: join(cwd, 'cache'), ...environment };
  const exit = await run(argv, { stdout: sink, stderr: sink, environment: whole, cwd, signal: stop.signal });
  return { exit, text };
}

function assertHidden({ text, exit }: Said, what: string): void {
  assert.notEqual(exit, 0, `${what} was to fail`);
  assert.ok(text.length > 0, `${what} said nothing`);
  assert.ok(!text.includes(secret) && !text.includes(encodeURIComponent(secret)), `${what} told the password:\n${text}`);
}

/** What each command cannot do without. */
const operands: Record<string, string[]> = {
  ls: ['data'],
  find: ['x'],
  diff: ['latest'],
  dump: ['data'],
  repair: ['index'],
  key: ['list'],
  tag: ['--set', 'a'],
  forget: ['--keep-last', '1'],
  copy: ['--from', 'elsewhere'],
};
const names = commandTable.map(({ name }) => name).filter((name) => name !== 'completion');

/** No storage opens for these. */
const unusable = [
  `ftp://user:${secret}@host/path`,
  `http://user:${secret}@host/path`,
  `REST:http://user:${secret}@host/path`,
  `rest:http://user:${secret}@host:99999/path`,
  `rest:http://user:${secret}@host/path?query`,
  `s3:http://user:${secret}@host/bucket?option=x`,
  `s3://bucket?secretAccessKey=${secret}`,
  `sftp://user:${secret}@host/path`,
  `rclone:-remote,pass=${secret}:path`,
];

describe('passwords in URLs of repositories', () => {
  const cleanUps: (() => void)[] = [];
  let folder = '';
  let port = 0;
  const server = createServer((_, response) => response.writeHead(401).end('no'));

  before(async () => {
    folder = scratch({ after: (cleanUp) => void cleanUps.push(cleanUp as () => void) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
    for (const cleanUp of cleanUps) cleanUp();
  });

  for (const name of names) {
    test(`${name}: URLs that cannot be used, given in every way, and a server that refuses`, async () => {
      const rest = operands[name] ?? [];
      // The same for all: one command meets every URL.
      for (const [number, url] of unusable.slice(0, name === 'snapshots' ? unusable.length : 1).entries()) {
        const json = number % 2 === 0 ? ['--json'] : ['--verbose'];
        assertHidden(await say(folder, [...json, name, '--repository', url, ...rest]), `${name} --repository ${url}`);
        if (number > 0) continue;
        if (name !== 'init')
          assertHidden(await say(folder, [...json, name, ...rest], { RESTIC_REPOSITORY: url }), `${name} by the environment`);
        assertHidden(await say(folder, [...json, name, url, url, url]), `${name} with a URL as its operand`);
        assertHidden(await say(folder, [...json, name, `--repo=${url}`]), `${name} with a mistaken option`);
      }
      const refusing = `rest:http://user:${secret}@127.0.0.1:${port}/path`;
      const refused = await say(folder, ['--json', name, '--repository', refusing, ...rest]);
      assertHidden(refused, `${name} refused`);
    });
  }

  test('copy and init: the other repository', async () => {
    for (const url of [unusable[0] as string, `rest:http://user:${secret}@127.0.0.1:${port}/path`]) {
      assertHidden(await say(folder, ['copy', '--from', url, '--to', '/nowhere']), `copy --from ${url}`);
      assertHidden(await say(folder, ['--json', 'copy', '--to', url, '--from', '/nowhere']), `copy --to ${url}`);
      assertHidden(await say(folder, ['init', '--copy-chunker-params', '--from', url]), `init --from ${url}`);
    }
    const same = unusable[2] as string;
    assertHidden(await say(folder, ['copy', '--from', same, '--repository', same]), 'copy to itself');
  });

  test('connection refused, with all details', async () => {
    // A port that was just somebody's; nobody listens on it now.
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const free = (closed.address() as AddressInfo).port;
    await new Promise((resolve) => closed.close(resolve));
    const stop = new AbortController();
    const url = `rest:http://user:${secret}@127.0.0.1:${free}/path`;
    // Only the first says when an attempt has failed.
    const formats = ['--verbose', '--json', '--quiet'];
    const said = await Promise.all(formats.map((format) => say(folder, [format, 'snapshots', '--repository', url], {}, stop)));
    for (const [i, one] of said.entries()) {
      assertHidden(one, formats[i] as string);
      assert.match(one.text, /ECONNREFUSED/);
    }
  });

  test('mistakes in holdfast.yaml, and a repository that it names', async () => {
    const url = `rest:http://user:${secret}@127.0.0.1:${port}/path`;
    for (const yaml of [
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: {url: "${url}", passwordFile: k}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: "${url}"}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: {uri: "${url}"}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: {url: "${url}}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: ["${url}"]\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: {url: ["${url}"]}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {"${url}": {url: "${url}"}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: {far: {url: "ftp://user:${secret}@host"}}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepositories: "${url}"\nrepositories: {}\n`,
      `project: p\nvolumes: {data: {path: /x}}\nrepository: ${url}\n`,
      `project: p\nvolumes: {data: {path: "${url}"}}\nschedules: {a: {cron: "0 * * * *", to: "${url}"}}\n`,
    ]) {
      const file = join(folder, 'wrong.yaml');
      writeFileSync(file, yaml);
      for (const format of ['--verbose', '--json']) {
        assertHidden(await say(folder, [format, '--config', file, 'snapshots']), `snapshots with ${yaml}`);
        assertHidden(await say(folder, [format, '--config', file, 'volumes']), `volumes with ${yaml}`);
      }
    }
  });

  test('init: a holdfast.yaml that holds a password is for its owner only', async () => {
    const own = join(folder, 'own');
    const file = join(own, 'holdfast.yaml');
    mkdirSync(own);
    const url = `rest:http://user:${secret}@127.0.0.1:${port}/path`;
    assertHidden(await say(own, ['init', '--volume', 'data=.', '--repository', url]), 'init');
    assert.ok(readFileSync(file, 'utf8').includes(secret));
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });
});
