import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { beforeEach, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createS3Storage } from './s3.ts';
import type { FileKind, FileRef, Storage } from './storage.ts';

const MiB = 1024 * 1024;
const name = 'ab'.repeat(32);
const pack: FileRef = { kind: 'data', name };

/** What no developer's configuration may change. */
const environment = {
  AWS_ACCESS_KEY_ID: 'AKID',
  AWS_SECRET_ACCESS_KEY: 'hush',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
};
beforeEach(() => {
  for (const unwanted of ['AWS_SESSION_TOKEN', 'AWS_PROFILE', 'AWS_REGION', 'AWS_DEFAULT_REGION']) delete process.env[unwanted];
  Object.assign(process.env, environment);
});

type Request = { method: string; path: string; query: URLSearchParams; headers: IncomingHttpHeaders; body: Buffer };
type Answer = { status?: number; headers?: Record<string, string>; body?: string | Buffer };

/** A server that keeps the requests and answers as told; without an answer it says 200. */
async function recorder(
  t: TestContext,
  answer: (request: Request, response: ServerResponse, count: number) => Answer | undefined | Promise<Answer> = () => undefined,
) {
  const requests: Request[] = [];
  const server = createServer(async (incoming, response) => {
    const body = Buffer.concat(await incoming.toArray());
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://host');
    const request = { method: incoming.method ?? '', path: pathname, query: searchParams, headers: incoming.headers, body };
    requests.push(request);
    const { status = 200, headers, body: text = '' } = (await answer(request, response, requests.length)) ?? {};
    if (response.headersSent || response.destroyed) return;
    response.writeHead(status, { 'content-length': Buffer.byteLength(text), ...headers }).end(request.method === 'HEAD' ? '' : text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { requests, endpoint, storage: (options: Record<string, string> = {}) => opened(t, `s3:${endpoint}/bucket/p`, options) };
}

function opened(t: TestContext, url: string, options: Record<string, string> = {}): Storage {
  const storage = createS3Storage({ url, options });
  t.after(() => storage.close?.());
  return storage;
}

const failure = (code: string, status = 400, message = 'why') => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
});

test('what a server may ignore is sent: class, lock, encryption, checksum', async (t) => {
  const { requests, storage } = await recorder(t);
  const settings = {
    storageClass: 'STANDARD_IA',
    objectLock: 'compliance',
    retainDays: '30',
    serverSideEncryption: 'aws:kms',
    kmsKeyId: 'key-id',
  };
  await storage(settings).write(pack, [Buffer.from('bytes')]);
  const { method, path, headers, body } = requests[0] as Request;
  assert.deepEqual([method, path, body.toString()], ['PUT', `/bucket/p/data/ab/${name}`, 'bytes']);
  const sum = createHash('sha256').update('bytes').digest();
  assert.equal(headers['x-amz-checksum-sha256'], sum.toString('base64'));
  assert.equal(headers['x-amz-content-sha256'], sum.toString('hex'));
  assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA');
  assert.equal(headers['x-amz-object-lock-mode'], 'COMPLIANCE');
  const until = Date.parse(headers['x-amz-object-lock-retain-until-date'] as string);
  assert.ok(Math.abs(until - Date.now() - 30 * 86_400_000) < 60_000);
  assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms');
  assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'key-id');
  assert.match(headers.authorization ?? '', /^AWS4-HMAC-SHA256 Credential=AKID\/\d+\/us-east-1\/s3\//);
  assert.equal(headers.expect, undefined);
});

test('locks of the repository are never locked; what is read at once stays out of archives', async (t) => {
  const { requests, storage } = await recorder(t);
  const archived = storage({ storageClass: 'DEEP_ARCHIVE', objectLock: 'governance', retainDays: '1' });
  const kinds: FileKind[] = ['config', 'keys', 'locks', 'snapshots', 'index', 'data'];
  for (const kind of kinds) await archived.write({ kind, name }, []);
  await archived.write({ ...pack, holds: 'trees' }, []);
  const classes = requests.map(({ headers }) => headers['x-amz-storage-class']);
  assert.deepEqual(classes, [...Array(5).fill(undefined), 'DEEP_ARCHIVE', undefined]);
  const locked = requests.map(({ headers }) => headers['x-amz-object-lock-mode'] === 'GOVERNANCE');
  assert.deepEqual(locked, [true, true, false, true, true, true, true]);
});

test('a server that knows no SHA-256 checksums gets MD5, from the first refusal on', async (t) => {
  for (const refusal of [failure('InvalidArgument', 400, "Unsupported header 'x-amz-checksum-sha256'"), failure('NotImplemented', 501)]) {
    const { requests, storage } = await recorder(t, ({ headers }) =>
      headers['x-amz-checksum-sha256'] === undefined ? undefined : refusal,
    );
    const old = storage();
    await old.write(pack, [Buffer.from('bytes')]);
    await old.write(pack, [Buffer.from('more')]);
    assert.equal(requests.length, 3);
    for (const { headers, body } of requests.slice(1))
      assert.equal(headers['content-md5'], createHash('md5').update(body).digest('base64'));
  }
});

test('a pack that is not as it was when it was hashed is told by its hash, also with MD5', async (t) => {
  const { requests, storage } = await recorder(t, ({ headers }) =>
    headers['x-amz-checksum-sha256'] === undefined ? undefined : failure('NotImplemented', 501),
  );
  const source = {
    sizeBytes: 5,
    async *pieces() {
      yield Buffer.from('wrong');
    },
  };
  await storage().writeFrom?.(pack, source);
  assert.equal(requests.at(-1)?.headers['x-amz-content-sha256'], name);
});

test('the region comes from the URL, the environment, or is us-east-1', async (t) => {
  const { requests, storage } = await recorder(t);
  await storage({ region: 'mars-1' }).remove(pack);
  process.env.AWS_DEFAULT_REGION = 'pluto-1';
  await storage().remove(pack);
  process.env.AWS_REGION = 'venus-1';
  await storage().remove(pack);
  const regions = requests.map(({ headers }) => headers.authorization?.split('/')[2]);
  assert.deepEqual(regions, ['mars-1', 'pluto-1', 'venus-1']);
});

test('a bucket in another region is asked there, from then on', async (t) => {
  const { requests, endpoint } = await recorder(t, ({ headers }) =>
    headers.authorization?.includes('/mars-1/')
      ? undefined
      : { ...failure('PermanentRedirect', 301), headers: { 'x-amz-bucket-region': 'mars-1' } },
  );
  // Only where AWS's hosts are meant: a region that was named with a server is taken for what it is.
  process.env.AWS_ENDPOINT_URL_S3 = endpoint;
  t.after(() => delete process.env.AWS_ENDPOINT_URL_S3);
  const storage = opened(t, 's3://bucket/p', { pathStyle: 'true' });
  await storage.remove(pack);
  await storage.remove(pack);
  assert.deepEqual(
    requests.map(({ headers }) => headers.authorization?.split('/')[2]),
    ['us-east-1', 'mars-1', 'mars-1'],
  );
});

test('a clock that is wrong here is put right after the first refusal', async (t) => {
  const serverTime = new Date(Date.now() + 3 * 60 * 60 * 1000);
  const skewed = { ...failure('RequestTimeTooSkewed', 403), headers: { date: serverTime.toUTCString() } };
  const { requests, storage } = await recorder(t, (_, _response, count) => (count === 1 ? skewed : undefined));
  const late = storage();
  await assert.rejects(late.remove(pack), { code: 'storage' });
  await late.remove(pack);
  const [, hour] = requests.map(({ headers }) => (headers['x-amz-date'] as string).slice(0, 11));
  assert.equal(hour, serverTime.toISOString().replace(/[-:]/g, '').slice(0, 11));
});

test('a list that is none is no empty list', async (t) => {
  const { storage } = await recorder(t, () => ({ body: '<html>please log in</html>' }));
  await assert.rejects(Array.fromAsync(storage().list('data')), { code: 'storage' });
});

test('a list that was cut off is no short list', async (t) => {
  const page = `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/data/ab/${name}</Key><Size>1</Size></Contents>`;
  const { storage } = await recorder(t, (_, response) => {
    // What a proxy of HTTP/1.0 sends ends with the connection, wherever that is.
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, { connection: 'close' }).end(`${page}<Contents><Key>p/da`);
    return undefined;
  });
  await assert.rejects(Array.fromAsync(storage().list('data')), { code: 'storage' });
});

test('anonymous requests are not signed', async (t) => {
  const { requests, storage } = await recorder(t);
  await storage({ anonymous: 'true' }).remove(pack);
  assert.equal(requests[0]?.headers.authorization, undefined);
});

test('errors of the server are told apart', async (t) => {
  const cases: [answer: Answer, code: string][] = [
    [failure('AccessDenied', 403), 'storage-denied'],
    [failure('InvalidAccessKeyId', 403), 'storage-denied'],
    [failure('ExpiredToken', 400), 'storage-denied'],
    [{ status: 401 }, 'storage-denied'],
    [failure('RequestTimeTooSkewed', 403), 'storage'],
    [failure('QuotaExceeded', 403), 'storage-full'],
    [failure('XMinioStorageFull', 507), 'storage-full'],
    [{ status: 507 }, 'storage-full'],
    [failure('NoSuchBucket', 404), 'no-repository'],
    [failure('InvalidStorageClass'), 'unsupported'],
    [failure('BadDigest'), 'storage'],
    [failure('RequestTimeout'), 'storage'],
    [failure('OperationAborted', 409), 'storage'],
    [failure('SlowDown', 503), 'storage'],
    [failure('InternalError', 500), 'storage'],
    [{ status: 502, body: '<html>not ours</html>' }, 'storage'],
    [{ status: 429 }, 'storage'],
    [failure('PermanentRedirect', 301), 'usage'],
    [failure('AuthorizationHeaderMalformed', 400, "the region 'us-east-1' is wrong"), 'usage'],
  ];
  for (const [answer, code] of cases) {
    const { requests, storage } = await recorder(t, () => answer);
    await assert.rejects(storage().write(pack, [Buffer.of(1)]), { name: 'HoldfastError', code }, JSON.stringify(answer));
    assert.equal(requests.length, 1);
  }
});

test('how long the server asks to wait is passed on', async (t) => {
  const { storage } = await recorder(t, () => ({
    ...failure('SlowDown', 503),
    headers: { 'retry-after': '7', 'content-type': 'application/xml' },
  }));
  await assert.rejects(storage().read(pack), { code: 'storage', retryAfterMs: 7000 });
});

test('an archived object says what to do', async (t) => {
  const { storage } = await recorder(t, () => failure('InvalidObjectState', 403));
  await assert.rejects(storage().read(pack), { code: 'unsupported', message: /archived/ });
});

test('answers that are not what was asked for are never taken for it', async (t) => {
  const content = randomBytes(1000);
  const partial = (start: number, end: number, total: number | string, body = content.subarray(start, end + 1)) => ({
    status: 206,
    headers: { 'content-range': `bytes ${start}-${end}/${total}` },
    body,
  });
  const cases: [answer: Answer, code: string][] = [
    [{ status: 200, body: content }, 'storage'],
    [{ status: 200, body: content.subarray(0, 150) }, 'damaged'],
    [partial(0, 99, 1000), 'storage'],
    [partial(100, 149, 1000), 'storage'],
    [partial(100, 149, 150), 'damaged'],
    [partial(100, 199, '*'), 'storage'],
    [{ status: 206, body: content.subarray(0, 100) }, 'storage'],
    [failure('InvalidRange', 416), 'damaged'],
  ];
  for (const [answer, code] of cases) {
    const { storage } = await recorder(t, () => answer);
    await assert.rejects(storage().read(pack, { offset: 100, length: 100 }), { code }, JSON.stringify(answer.headers));
  }
  const { storage } = await recorder(t, () => partial(100, 199, 1000));
  const into = Buffer.alloc(500);
  assert.deepEqual(await storage().read(pack, { offset: 100, length: 100, into }), content.subarray(100, 200));
  assert.deepEqual(into.subarray(0, 100), content.subarray(100, 200));
});

test('a body that breaks off, or stops, is a failure that may be tried again', async (t) => {
  const { storage } = await recorder(t, (_, response, count) => {
    response.writeHead(200, { 'content-length': '1000' }).write(Buffer.alloc(10));
    if (count === 1) response.destroy();
    return undefined;
  });
  const short = storage({ timeout: '1s' });
  await assert.rejects(short.read(pack), { code: 'storage' });
  await assert.rejects(short.read(pack), { code: 'storage', message: /no answer for 1 seconds/ });
});

test('a server that accepts and never answers, or sends nonsense, does not hang', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => undefined).resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const storage = opened(t, `s3:http://127.0.0.1:${(server.address() as AddressInfo).port}/bucket`, { timeout: '1s' });
  await assert.rejects(storage.write(pack, [Buffer.alloc(100)]), { code: 'storage', message: /no answer for 1 seconds/ });
});

test('nobody there is a failure that says so', async (t) => {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  await assert.rejects(opened(t, `s3:http://127.0.0.1:${port}/bucket`).read(pack), { code: 'storage', message: /ECONNREFUSED/ });
});

test('no more connections than allowed, and waiting for one is no time-out', async (t) => {
  let open = 0;
  let most = 0;
  const { storage } = await recorder(t, async (_, _response, count) => {
    most = Math.max(most, ++open);
    // The first two keep the others waiting for longer than a connection may take.
    await setTimeout(count <= 2 ? 1200 : 0);
    open--;
    return { status: 204 };
  });
  const few = storage({ connections: '2', connectTimeout: '1s' });
  await Promise.all(Array.from({ length: 10 }, () => few.remove(pack)));
  assert.equal(most, 2);
});

/** Answers uploads in parts as S3 does; `trouble` may answer first. */
function multipart(trouble: (request: Request) => Answer | undefined = () => undefined) {
  return (request: Request): Answer | undefined => {
    const { method, query } = request;
    const wrong = trouble(request);
    if (wrong) return wrong;
    const xml = { 'content-type': 'application/xml' };
    if (method === 'POST' && query.has('uploads'))
      return { headers: xml, body: '<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>' };
    if (method === 'PUT') return { headers: { etag: `"${query.get('partNumber')}"` } };
    if (method === 'POST') return { headers: xml, body: '<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>' };
    return undefined;
  };
}

const long = Buffer.alloc(33 * MiB, 'content');

test('a long file goes in parts, each with its checksum; one that fails is sent again alone', async (t) => {
  let failures = 0;
  const { requests, storage } = await recorder(
    t,
    multipart(({ query }) => (query.get('partNumber') === '2' && failures++ < 2 ? failure('InternalError', 500) : undefined)),
  );
  await storage({ storageClass: 'STANDARD_IA' }).write(pack, [long.subarray(0, 7), long.subarray(7)]);
  const parts = requests.filter(({ method }) => method === 'PUT');
  assert.deepEqual(parts.map(({ query }) => query.get('partNumber')).sort(), ['1', '2', '2', '2', '3']);
  const [begin] = requests;
  assert.equal(begin?.headers['x-amz-storage-class'], 'STANDARD_IA');
  assert.equal(begin?.headers['x-amz-checksum-algorithm'], 'SHA256');
  const sent = new Map(parts.map(({ query, body }) => [query.get('partNumber'), body]));
  assert.ok(Buffer.concat([...sent].sort().map(([, body]) => body)).equals(long));
  const end = requests.at(-1)?.body.toString() ?? '';
  for (const [number, body] of sent) {
    const sum = createHash('sha256').update(body).digest('base64');
    assert.match(end, new RegExp(`<ETag>(&quot;|")${number}(&quot;|")</ETag>`));
    assert.ok(end.includes(`<ChecksumSHA256>${sum}</ChecksumSHA256>`));
  }
});

test('an upload that fails for good is abandoned, so that nothing lingers', async (t) => {
  const { requests, storage } = await recorder(
    t,
    multipart(({ query }) => (query.get('partNumber') === '2' ? failure('AccessDenied', 403) : undefined)),
  );
  await assert.rejects(storage().write(pack, [long]), { code: 'storage-denied' });
  assert.deepEqual([requests.at(-1)?.method, requests.at(-1)?.query.get('uploadId')], ['DELETE', 'id']);
});

test('a completion that is answered with something else has not happened', async (t) => {
  let completions = 0;
  const { storage } = await recorder(
    t,
    multipart(({ method, query }) =>
      method === 'POST' && query.has('uploadId') && completions++ === 0 ? { body: '<html>please wait</html>' } : undefined,
    ),
  );
  await storage().write(pack, [long]);
  assert.equal(completions, 2);
});

test('a completion whose answer was lost counts when the object is there', async (t) => {
  for (const there of [true, false]) {
    let completions = 0;
    const { requests, storage } = await recorder(
      t,
      multipart(({ method, query }) => {
        if (method === 'HEAD') return there ? undefined : { status: 404 };
        if (method !== 'POST' || query.has('uploads')) return undefined;
        return completions++ === 0 ? failure('InternalError', 500) : failure('NoSuchUpload', 404);
      }),
    );
    const written = storage().write(pack, [long]);
    if (there) await written;
    else await assert.rejects(written, { name: 'HoldfastError' });
    assert.equal(requests.filter(({ method }) => method === 'HEAD').length, 1);
  }
});

test('a server that gives the same page again and again is found out', async (t) => {
  const page = '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>';
  const { storage } = await recorder(t, () => ({ headers: { 'content-type': 'application/xml' }, body: page }));
  await assert.rejects(Array.fromAsync(storage().list('data')), { code: 'storage' });
});

test('a bucket is made only when it is missing, and may be made', async (t) => {
  const cases: [head: number, put: Answer, requests: string[], code?: string][] = [
    [200, {}, ['HEAD']],
    [403, {}, ['HEAD']],
    [404, {}, ['HEAD', 'PUT']],
    [404, failure('BucketAlreadyOwnedByYou', 409), ['HEAD', 'PUT']],
    [404, failure('BucketAlreadyExists', 409), ['HEAD', 'PUT'], 'storage-denied'],
    [404, failure('AccessDenied', 403), ['HEAD', 'PUT'], 'storage-denied'],
  ];
  for (const [head, put, methods, code] of cases) {
    const { requests, storage } = await recorder(t, ({ method }) => (method === 'HEAD' ? { status: head } : put));
    const created = storage({ objectLock: 'compliance', retainDays: '1' }).create();
    if (code === undefined) await created;
    else await assert.rejects(created, { code });
    assert.deepEqual(
      requests.map(({ method }) => method),
      methods,
    );
    assert.equal(requests[1]?.headers['x-amz-bucket-object-lock-enabled'], methods.length === 2 ? 'true' : undefined);
  }
});

test('a file that is said to be absurdly long is refused; a long one takes memory as it comes', async (t) => {
  const huge = await recorder(t, (_, response) => {
    response.writeHead(200, { 'content-length': String(8 * 1024 ** 4) });
    response.write('x');
    return undefined;
  });
  await assert.rejects(huge.storage().read(pack), { code: 'storage', message: /it announced 8796093022208 bytes/ });
  const bytes = randomBytes(70 * MiB);
  const long = await recorder(t, () => ({ body: bytes }));
  assert.ok((await long.storage().read(pack)).equals(bytes));
});
