import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, createSecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { createRestStorage } from '../../src/storage/rest.ts';
import type { FileRef, Storage } from '../../src/storage/storage.ts';
import { scratch } from '../peers.ts';
import { type Certificates, certificatesIn, type RcloneServer, requireServers, restUrl, serveRestic } from '../rclone-server.ts';
import { runStorageContract } from './storage.ts';
import { proveBothWays } from './with-restic.ts';

const name = 'ab'.repeat(32);
const pack: FileRef = { kind: 'data', name };
const mebibyte = 1024 * 1024;

/** A storage that ends with its test. */
function opened(t: TestContext, url: string, options: Record<string, string> = {}): Storage {
  const storage = createRestStorage({ url, options }, {});
  t.after(() => storage.close?.());
  return storage;
}

if (requireServers()) {
  const certificates = certificatesIn(scratch({ after: (remove) => after(remove as () => void) }));
  const { ca, client, clientKey } = certificates;
  const tlsOptions = { ca, clientCertificate: client, clientKey };
  runStorageContract('rclone serve restic with a password', async (t) => {
    const server = await serveRestic(t, join(scratch(t), 'repository'), { basicAuth: true });
    return opened(t, restUrl(server, '', { basicAuth: true }));
  });

  runStorageContract('rclone serve restic with certificates, by HTTP/2', async (t) => {
    const server = await serveRestic(t, join(scratch(t), 'repository'), { certificates });
    return opened(t, restUrl(server, 'below/'), tlsOptions);
  });

  test("the layout is restic's, and packs go to the folders of their names' beginnings", async (t) => {
    const folder = scratch(t);
    const storage = opened(t, restUrl(await serveRestic(t, folder), 'deep/er'));
    await storage.create();
    await storage.write(pack, [Buffer.from('pack')]);
    await storage.write({ kind: 'config', name: '' }, [Buffer.from('config')]);
    const root = join(folder, 'deep', 'er');
    assert.equal(readFileSync(join(root, 'data', 'ab', name), 'utf8'), 'pack');
    assert.equal(readFileSync(join(root, 'config'), 'utf8'), 'config');
  });

  test('a wrong password, and none, are refused, and no message has it', async (t) => {
    const server = await serveRestic(t, scratch(t), { basicAuth: true });
    const wrong = new URL(server.url);
    wrong.username = 'holdfast';
    wrong.password = 'wrong-password';
    for (const url of [`rest:${wrong}`, restUrl(server)]) {
      const storage = opened(t, url);
      const refused = (error: Error) => {
        assert.doesNotMatch(`${error.message} ${JSON.stringify(error)} ${error.stack}`, /wrong-password/);
        return (error as { code?: string }).code === 'storage-denied';
      };
      await assert.rejects(storage.create(), refused);
      await assert.rejects(storage.read(pack), refused);
      await assert.rejects(storage.sizeOf(pack), refused);
      // So long that the server does not wait for the end of it.
      await assert.rejects(storage.write(pack, [randomBytes(17 * mebibyte)]), refused);
      await assert.rejects(storage.remove(pack), refused);
      await assert.rejects(storage.list('data')[Symbol.asyncIterator]().next(), refused);
    }
  });

  test('user and password may come from the environment', async (t) => {
    const server = await serveRestic(t, scratch(t), { basicAuth: true });
    const environment = { RESTIC_REST_USERNAME: 'holdfast', RESTIC_REST_PASSWORD: 'p@ss:w/rd' };
    const storage = createRestStorage({ url: restUrl(server) }, environment);
    t.after(() => storage.close?.());
    await storage.create();
  });

  test('who shows no certificate is refused, and a server that cannot prove itself is not trusted', async (t) => {
    const server = await serveRestic(t, scratch(t), { certificates });
    await assert.rejects(opened(t, restUrl(server), { ca }).create(), {
      code: 'storage-denied',
      message: /refuses this client's certificate/,
    });
    await assert.rejects(opened(t, restUrl(server)).create(), { code: 'storage-denied', message: /is not trusted/ });
  });

  test('a file that is there and may not be replaced counts as stored only when it is the same', async (t) => {
    const folder = scratch(t);
    const storage = opened(t, restUrl(await serveRestic(t, folder, { appendOnly: true })));
    await storage.create();
    const content = randomBytes(17 * mebibyte);
    await storage.write(pack, [content]);
    await storage.write(pack, [content.subarray(0, 5), content.subarray(5)]);
    await assert.rejects(storage.write(pack, [content.subarray(1)]), { code: 'storage-denied' });
    await assert.rejects(storage.remove(pack), { code: 'storage-denied' });
    assert.deepEqual(await storage.read(pack), content);
    const config: FileRef = { kind: 'config', name: '' };
    await storage.write(config, [Buffer.from('first')]);
    await storage.write(config, [Buffer.from('first')]);
    await assert.rejects(storage.write(config, [Buffer.from('other')]), { code: 'storage-denied' });
    await storage.write({ kind: 'locks', name }, [Buffer.from('lock')]);
    await storage.remove({ kind: 'locks', name });
    assert.deepEqual(readdirSync(join(folder, 'locks')), []);
  });

  test('restic and Holdfast on one repository, by HTTP with a password', async (t) => {
    const server = await serveRestic(t, scratch(t), { basicAuth: true });
    proveBothWays(t, restUrl(server, 'both/', { basicAuth: true }));
  });

  test('restic and Holdfast on one repository, by HTTPS with certificates', async (t) => {
    const server = await serveRestic(t, scratch(t), { certificates });
    const both = join(scratch(t), 'both.pem');
    writeFileSync(both, `${readFileSync(client)}${readFileSync(clientKey)}`);
    proveBothWays(t, restUrl(server, 'both/'), tlsOptions, ['--cacert', ca, '--tls-client-cert', both]);
  });

  test('HTTP/2 is used where it is offered: requests share a connection; what breaks off is a failure of the storage', async (t) => {
    const { url, sessions, versions } = await serveHttp2(t, certificates);
    const storage = opened(t, `rest:${url}`, { ca, connections: '4' });
    for (let i = 0; i < 5; i++) assert.equal((await storage.read(pack)).length, mebibyte);
    await Promise.all(Array.from({ length: 8 }, () => storage.read(pack)));
    assert.deepEqual(versions, new Set(['2.0']));
    assert.ok(sessions() <= 4, `${sessions()} connections for 13 requests`);
    for (const broken of ['cut', 'reset', 'gone']) {
      const file: FileRef = { kind: 'index', name: Buffer.from(broken.padEnd(32)).toString('hex') };
      await assert.rejects(storage.read(file), { code: 'storage' }, broken);
      await assert.rejects(storage.read(file, { offset: 0, length: mebibyte }), { code: 'storage' }, broken);
      await assert.rejects(storage.write(file, [randomBytes(8 * mebibyte)]), { code: 'storage' }, broken);
      assert.equal((await storage.read(pack)).length, mebibyte);
    }
  });

  test('a server that was restarted is found again', async (t) => {
    const folder = scratch(t);
    const server = await serveRestic(t, folder);
    const storage = opened(t, restUrl(server));
    await storage.create();
    await storage.write(pack, [Buffer.from('before')]);
    await server.kill();
    await assert.rejects(storage.read(pack), { code: 'storage' });
    await serveAgain(t, folder, server);
    assert.equal((await storage.read(pack)).toString(), 'before');
  });

  test('a repository that is taken away is missing files, not an empty success', async (t) => {
    const folder = scratch(t);
    const storage = opened(t, restUrl(await serveRestic(t, join(folder, 'repository'))));
    await storage.create();
    await storage.write(pack, [Buffer.from('x')]);
    rmSync(join(folder, 'repository'), { recursive: true });
    await assert.rejects(storage.read({ kind: 'data', name: 'cd'.repeat(32) }), { code: 'file-missing' });
  });
}

async function serveAgain(t: TestContext, folder: string, { url }: RcloneServer): Promise<void> {
  await serveRestic(t, folder, { port: Number(url.port) });
}

/** A server that gives packs of a mebibyte, and breaks off at files whose names, decoded, say how. */
async function serveHttp2(t: TestContext, { server, serverKey }: Certificates) {
  const versions = new Set<string>();
  const sessions: ServerHttp2Session[] = [];
  const listener = createSecureServer(
    { cert: readFileSync(server), key: readFileSync(serverKey), allowHTTP1: true },
    (incoming, outgoing) => {
      versions.add(incoming.httpVersion);
      const how = Buffer.from(incoming.url.replace('/index/', ''), 'hex').toString().trim();
      if (incoming.method === 'GET') {
        outgoing.writeHead(200, { 'content-length': mebibyte });
        if (!incoming.url.startsWith('/index/')) return void outgoing.end(Buffer.alloc(mebibyte));
        outgoing.write(Buffer.alloc(1000));
      }
      if (how === 'cut') incoming.stream.session?.destroy();
      if (how === 'reset') incoming.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      if (how === 'gone') incoming.stream.session?.goaway(constants.NGHTTP2_NO_ERROR, 0);
      if (how === 'gone') incoming.stream.session?.destroy();
    },
  );
  listener.on('session', (session) => sessions.push(session));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    listener.close();
  });
  return { url: `https://127.0.0.1:${(listener.address() as AddressInfo).port}/`, versions, sessions: () => sessions.length };
}
