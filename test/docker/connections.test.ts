/** Ways to a real Engine: TCP with TLS, as variables and as a context say it, and ssh through a real server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { findEndpoint } from '../../src/platform/docker/endpoint.ts';
import { createDockerEngine } from '../../src/platform/docker/engine.ts';
import { readInventory } from '../../src/platform/docker/inventory.ts';
import { startDockerEngine } from '../docker-engine.ts';
import { freePort } from '../free-port.ts';
import { peer, requirePeer, scratch } from '../peers.ts';
import { certificatesIn } from '../rclone-server.ts';
import { requireSshServer, serveSftp } from '../sftp-server.ts';

/** Names of all volumes at the Engine that an environment leads to. */
async function volumesAt(environment: Record<string, string>): Promise<string[]> {
  const engine = createDockerEngine(await findEndpoint({ environment, home: undefined, uid: 0 }));
  try {
    return (await readInventory(engine)).volumes.map(({ name }) => name);
  } finally {
    engine.close();
  }
}

test('an Engine behind TLS', async (t) => {
  const openssl = requirePeer(t, 'openssl');
  if (openssl === undefined) return;
  const folder = scratch(t);
  const at = (name: string) => join(folder, name);
  const { ca, server, serverKey, client, clientKey } = certificatesIn(folder);
  const port = await freePort();
  const address = `tcp://127.0.0.1:${port}`;
  const tls = ['--tlsverify', `--tlscacert=${ca}`, `--tlscert=${server}`, `--tlskey=${serverKey}`, `--host=${address}`];
  const engine = await startDockerEngine(t, tls);
  if (engine === undefined) return;
  engine.docker('volume', 'create', 'shop_data');

  /** A folder of certificates as the `docker` program wants it. */
  const certificates = (name: string, files: Record<string, string>) => {
    mkdirSync(at(name), { recursive: true });
    for (const [to, from] of Object.entries(files)) copyFileSync(from, join(at(name), to));
    return { DOCKER_HOST: address, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: at(name), DOCKER_CONFIG: folder };
  };
  const own = { 'ca.pem': ca, 'cert.pem': client, 'key.pem': clientKey };
  const refused = (environment: Record<string, string>, words: RegExp) =>
    assert.rejects(volumesAt(environment), (error: Error & { code: string; remedy: string }) => {
      assert.equal(error.code, 'engine-unreachable');
      assert.match(error.message, words);
      assert.match(error.remedy, /DOCKER_CERT_PATH/);
      return true;
    });

  await t.test('the variables of the docker program', async () => {
    assert.deepEqual(await volumesAt(certificates('own', own)), ['shop_data']);
  });

  await t.test('a context with its certificates, made by the docker program', async () => {
    const configuration = at('configuration');
    const docker = peer('docker') as string;
    const endpoint = `host=${address},ca=${ca},cert=${client},key=${clientKey}`;
    const environment = { PATH: process.env.PATH, DOCKER_CONFIG: configuration };
    execFileSync(docker, ['context', 'create', 'far', '--docker', endpoint], { env: environment, stdio: 'pipe' });
    assert.deepEqual(await volumesAt({ DOCKER_CONFIG: configuration, DOCKER_CONTEXT: 'far' }), ['shop_data']);
    execFileSync(docker, ['context', 'use', 'far'], { env: environment, stdio: 'pipe' });
    assert.deepEqual(await volumesAt({ DOCKER_CONFIG: configuration }), ['shop_data']);
  });

  await t.test('an authority that did not sign the server', async () => {
    mkdirSync(at('others'));
    const others = certificatesIn(at('others'));
    await refused(certificates('wrong', { ...own, 'ca.pem': others.ca }), /TLS .* fails: .*(signature|certificate|issuer)/i);
    await refused(certificates('unknown', { 'cert.pem': client, 'key.pem': clientKey }), /TLS .* fails: .*certificate/i);
  });

  await t.test('no certificate of the client, one that others signed, one that has expired', async () => {
    await refused(
      certificates('none', { 'ca.pem': ca }),
      /TLS .* fails: the Engine wants another client certificate, or any at all \((bad certificate|certificate required)\)$/,
    );
    const others = at('others');
    await refused(
      certificates('strange', { 'ca.pem': ca, 'cert.pem': join(others, 'client.pem'), 'key.pem': join(others, 'client.key') }),
      /TLS .* fails: the Engine wants another client certificate/,
    );
    await refused(
      certificates('old', { ...own, 'cert.pem': expired('client') }),
      /TLS .* fails: the Engine wants another client certificate/,
    );
  });

  await t.test('a server whose certificate has expired', async () => {
    const late = createServer({ cert: readFileSync(expired('server')), key: readFileSync(serverKey) }, (socket) => socket.destroy());
    late.listen(0, '127.0.0.1');
    await once(late, 'listening');
    const environment = { ...certificates('own', own), DOCKER_HOST: `tcp://127.0.0.1:${(late.address() as AddressInfo).port}` };
    await refused(environment, /TLS .* fails: certificate has expired/);
    late.close();
  });

  await t.test('without TLS', async () => {
    await assert.rejects(volumesAt({ DOCKER_HOST: address, DOCKER_CONFIG: folder }), /HTTP request to an HTTPS server/);
  });

  function expired(name: 'client' | 'server'): string {
    const times = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z', '-batch', '-notext'];
    writeFileSync(at('index'), '');
    writeFileSync(at('ca.cnf'), caConfiguration(folder));
    const request = ['-in', at(`${name}.csr`), '-out', at(`${name}-expired.pem`), '-cert', ca, '-keyfile', at('ca.key')];
    execFileSync(openssl as string, ['ca', '-config', at('ca.cnf'), ...times, ...request, '-extfile', at('extensions')], { stdio: 'pipe' });
    return at(`${name}-expired.pem`);
  }
});

const caConfiguration = (folder: string) => `[ca]
default_ca = own
[own]
new_certs_dir = ${folder}
database = ${join(folder, 'index')}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
`;

if (requireSshServer()) {
  test('an Engine behind a real ssh server', async (t) => {
    const engine = await startDockerEngine(t);
    if (engine === undefined) return;
    engine.docker('volume', 'create', 'shop_data');
    const folder = scratch(t);
    const server = await serveSftp(t, folder);
    // What the user would have in the server's environment.
    const forced = `command="DOCKER_HOST=unix://${engine.socket} PATH=${dirname(peer('docker') as string)}:$PATH exec $SSH_ORIGINAL_COMMAND"`;
    writeFileSync(join(folder, 'authorized_keys'), `${forced} ${readFileSync(join(folder, 'user.pub'), 'utf8')}`);
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    const ssh = peer('ssh');
    const wrapper = (more = '') =>
      writeFileSync(join(programs, 'ssh'), `#!/bin/sh\nexec ${ssh} ${server.args} ${more} "$@"\n`, { mode: 0o755 });
    const path = process.env.PATH as string;
    process.env.PATH = [programs, path].join(delimiter);
    t.after(() => {
      process.env.PATH = path;
    });
    const environment = { DOCKER_HOST: `ssh://${server.host}` };

    await t.test('is spoken to', async () => {
      wrapper();
      assert.deepEqual(await volumesAt(environment), ['shop_data']);
    });

    await t.test('a host that is not the one that is known is refused, with the words of ssh', async () => {
      const strange = join(folder, 'strange_hosts');
      writeFileSync(
        strange,
        readFileSync(join(folder, 'known_hosts'), 'utf8').replace(/ssh-\S+ .*/, readFileSync(join(folder, 'user.pub'), 'utf8')),
      );
      wrapper(`-o UserKnownHostsFile=${strange}`);
      await assert.rejects(volumesAt(environment), { code: 'engine-unreachable', message: /Host key verification failed/ });
    });

    await t.test('a key that the server does not let in', async () => {
      writeFileSync(join(folder, 'authorized_keys'), '');
      wrapper();
      await assert.rejects(volumesAt(environment), { code: 'engine-unreachable', message: /Permission denied/ });
    });
  });
}
