import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SftpClient, StatusError } from './sftp-client.ts';
import { encodeRequest, PacketReader } from './sftp-protocol.ts';
import { pipelined, readFile } from './sftp-transfer.ts';

const lost = new Error('lost');

/** A client, and the server's side of it. */
async function connected(t: TestContext, { idleTimeoutMs = 60_000 } = {}) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  // Requests without an answer do not keep the test waiting.
  t.after(() => output.end());
  const causes: (Error | undefined)[] = [];
  let busy = false;
  const client = new SftpClient({
    input,
    output,
    idleTimeoutMs,
    onBusy: (now) => (busy = now),
    onOver: async (cause) => {
      causes.push(cause);
      return lost;
    },
  });
  const reader = new PacketReader();
  /** Requests that have arrived: their types and ids. */
  const requests: { type: number; id: number; body: Buffer }[] = [];
  input.on('data', (chunk: Buffer) => {
    for (const packet of reader.push(chunk))
      requests.push({ type: packet[0] as number, id: packet.readUInt32BE(1), body: packet.subarray(5) });
  });
  const greeting = client.greet();
  await turn();
  output.write(encodeRequest(2, 3, []));
  await greeting;
  requests.length = 0;
  const status = (id: number, code: number) => output.write(encodeRequest(101, id, [code, 'text', '']));
  const data = (id: number, bytes: Buffer) => output.write(encodeRequest(103, id, [bytes]));
  const handle = (id: number) => output.write(encodeRequest(102, id, ['h']));
  return { client, input, output, requests, causes, isBusy: () => busy, status, data, handle };
}

test('answers find their requests, in whatever order they come', async (t) => {
  const { client, requests, status, isBusy } = await connected(t);
  const asked = [client.remove('a'), client.remove('b'), client.remove('c')];
  await turn();
  assert.ok(isBusy());
  for (const [n, code] of [
    [2, 0],
    [0, 0],
    [1, 3],
  ] as const)
    status(requests[n]?.id as number, code);
  await assert.rejects(asked[1] as Promise<void>, (error: StatusError) => error instanceof StatusError && error.code === 3);
  await Promise.all([asked[0], asked[2]]);
  assert.equal(isBusy(), false);
});

test('what no request asked for, or is no packet, ends the connection for all requests, also later ones', async (t) => {
  for (const bad of [encodeRequest(101, 4711, [0]), encodeRequest(99, 1, []), Buffer.alloc(9, 0xff), encodeRequest(103, 1, [7])]) {
    const { client, output, causes } = await connected(t);
    const asked = [client.remove('a'), client.stat('b')];
    const answers = Promise.allSettled(asked);
    output.write(bad);
    for (const answer of await answers) assert.equal(answer.status === 'rejected' && answer.reason, lost);
    await assert.rejects(client.remove('c'), lost);
    assert.ok(client.over);
    assert.equal(causes.length, 1);
    assert.ok(causes[0] instanceof Error);
  }
});

test('an end and a silence are told', async (t) => {
  const ended = await connected(t);
  const asked = ended.client.remove('a');
  ended.output.end();
  await assert.rejects(asked, lost);
  assert.deepEqual(ended.causes, [undefined]);
  const silent = await connected(t, { idleTimeoutMs: 5 });
  await assert.rejects(silent.client.remove('a'), lost);
  assert.match(silent.causes[0]?.message ?? '', /has not answered/);
});

test('short reads are asked on, the end of the file is damage, and no more than was asked for is taken', async (t) => {
  const { client, requests, handle, data, status } = await connected(t);
  const reading = readFile(client, 'p', 'p', { offset: 10, length: 5 });
  await turn();
  handle(requests[0]?.id as number);
  await turn();
  data(requests[1]?.id as number, Buffer.from('ab'));
  await turn();
  assert.equal(requests[2]?.body.readBigUInt64BE(5), 12n);
  data(requests[2]?.id as number, Buffer.from('cde'));
  assert.equal((await reading).toString(), 'abcde');

  const short = readFile(client, 'p', 'p', { offset: 10, length: 5 });
  await turn();
  handle(requests.at(-1)?.id as number);
  await turn();
  status(requests.at(-1)?.id as number, 1);
  await assert.rejects(short, { code: 'damaged' });

  const long = readFile(client, 'p', 'p', { offset: 0, length: 5 });
  await turn();
  handle(requests.at(-1)?.id as number);
  await turn();
  data(requests.at(-1)?.id as number, Buffer.alloc(6));
  await assert.rejects(long, /6 bytes where 5/);
});

test('a buffer that was lent is left alone when the read has failed', async (t) => {
  const { client, requests, handle, data, status } = await connected(t);
  const into = Buffer.alloc(100_000);
  let failed = false;
  const reading = readFile(client, 'p', 'p', { offset: 0, length: into.length, into }).catch(() => (failed = true));
  await turn();
  handle(requests[0]?.id as number);
  await turn();
  const reads = requests.filter(({ type }) => type === 5);
  assert.equal(reads.length, 4);
  status(reads[1]?.id as number, 4);
  await turn();
  assert.equal(failed, false);
  for (const n of [0, 2]) data(reads[n]?.id as number, Buffer.alloc(32 * 1024, n));
  data(reads[3]?.id as number, Buffer.alloc(100_000 - 3 * 32 * 1024));
  await reading;
  assert.ok(failed);
});

test('so many tasks at a time, in their order; a failure lets those that run end, and begins no more', async () => {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  function* tasks() {
    for (let n = 0; n < 10; n++)
      yield async () => {
        begun.push(n);
        await new Promise<void>((resolve) => ends.push(resolve));
        if (n === 1) throw new Error('task 1');
      };
  }
  let over = false;
  const all = pipelined(tasks(), 3).finally(() => (over = true));
  all.catch(() => undefined);
  await turn();
  assert.deepEqual(begun, [0, 1, 2]);
  ends[1]?.();
  await turn();
  assert.equal(over, false);
  for (const end of ends) end();
  await assert.rejects(all, /task 1/);
  assert.deepEqual(begun, [0, 1, 2]);
});
