import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { randomBytes } from '../../../test/awkward-tree.ts';
import { scratchOptions } from '../../../test/scratch-repository.ts';
import { createChunker } from '../../format/kernel/chunker.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { BlobId } from '../../model/ids.ts';
import type { Lane } from '../lanes/pool.ts';
import { LaneBlobs } from './lane-blobs.ts';
import type { BackupCall } from './messages.ts';
import { StreamContent } from './stream-content.ts';

type Blobs = Extract<BackupCall, { call: 'blobs' }>;

/** A lane that answers when it is told to, and then writes over the memory, as the next piece would. */
function slowLane() {
  const waiting: (() => void)[] = [];
  const saved = new Map<string, Buffer>();
  const lane: Lane = {
    call<Reply>(message: unknown) {
      const { memory, lengths } = message as Blobs;
      return new Promise<Reply>((resolve, reject) => {
        waiting.push(() => {
          if (broken) return reject(new HoldfastError('storage', 'broken'));
          const bytes = Buffer.from(memory);
          let at = 0;
          const ids = lengths.map((length) => {
            const blob = Buffer.from(bytes.subarray(at, at + length));
            at += length;
            const id = createHash('sha256').update(blob).digest();
            saved.set(id.toString('hex'), blob);
            return id;
          });
          bytes.fill(0xee);
          resolve(Buffer.concat(ids) as Reply);
        });
      });
    },
  };
  let broken = false;
  return { lane, waiting, saved, fail: () => (broken = true) };
}

async function* pieces(content: Buffer, length = 100_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += length) yield content.subarray(at, at + length);
}

const contentOf = (lanes: Lane[]) =>
  new StreamContent({
    chunker: createChunker(scratchOptions.chunkerPolynomial),
    blobs: new LaneBlobs(lanes),
    onBytes: () => undefined,
    stopped: () => false,
  });

test('whichever lane answers first, contents are whole, and acts come in the order in which they were asked for', async () => {
  const lanes = [slowLane(), slowLane()];
  const content = contentOf(lanes.map(({ lane }) => lane));
  const order: string[] = [];
  const files = [10, 3_000_000, 0, 9_000_000, 700_000, 700_001, 5].map((bytes) => randomBytes(bytes));
  // The last call that is out is answered first.
  const answering = setInterval(() => (lanes[1]?.waiting.pop() ?? lanes[0]?.waiting.pop())?.(), 0);
  try {
    for (const [i, file] of files.entries()) {
      await content.save(pieces(file), (ids: BlobId[], sizeBytes) => {
        order.push(`file ${i}`);
        const whole = Buffer.concat(ids.map((id) => (lanes[0]?.saved.get(id) ?? lanes[1]?.saved.get(id)) as Buffer));
        assert.ok(whole.equals(file), `file ${i}`);
        assert.equal(sizeBytes, file.length);
      });
      await content.after(() => void order.push(`after ${i}`));
    }
    await content.settle();
  } finally {
    clearInterval(answering);
  }
  assert.deepEqual(
    order,
    files.flatMap((_, i) => [`file ${i}`, `after ${i}`]),
  );
});

test('what waits for a content is bounded: the reader waits, too', async () => {
  const { lane, waiting } = slowLane();
  const content = contentOf([lane]);
  let acts = 0;
  await content.save(pieces(Buffer.from('content')), () => void acts++);
  for (let i = 1; i < 4096; i++) await content.after(() => void acts++);
  const blocked = content.after(() => void acts++);
  assert.deepEqual([acts, waiting.length], [0, 1], 'the small content has gone to the lane, as somebody waits for it');
  waiting.pop()?.();
  await blocked;
  assert.equal(acts, 4097);
});

test('the failure of a lane ends the reading, and nobody waits for ever', async () => {
  const { lane, waiting, fail } = slowLane();
  fail();
  const answering = setInterval(() => waiting.pop()?.(), 0);
  try {
    const content = contentOf([lane]);
    const endless = (async function* () {
      for (;;) yield randomBytes(1_000_000);
    })();
    await assert.rejects(
      content.save(endless, () => assert.fail()),
      { code: 'storage' },
    );
    await assert.rejects(content.settle(), { code: 'storage' });
    await assert.rejects(
      (async () => {
        for (let i = 0; i < 10_000; i++) await content.after(() => assert.fail());
      })(),
      { code: 'storage' },
    );
  } finally {
    clearInterval(answering);
  }
});
