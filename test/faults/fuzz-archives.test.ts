/** Archives of real programs, damaged in all ways: an import makes trees that can be restored of them, or says what is wrong, and soon. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createCounters } from '../../src/engine/backup/counters.ts';
import type { BackupCall } from '../../src/engine/backup/messages.ts';
import type { StoringRun } from '../../src/engine/backup/storing-run.ts';
import type { Lane } from '../../src/engine/lanes/pool.ts';
import { type ImportResult, importArchive } from '../../src/engine/transfer/import-archive.ts';
import { decodeTree } from '../../src/format/tree.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { BlobIndex } from '../../src/repository/blob-index.ts';
import type { PackWriter } from '../../src/repository/pack-writer.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { peer, scratch } from '../peers.ts';
import { fc } from '../properties.ts';
import { machineClock } from '../scratch-backup.ts';
import { scratchOptions } from '../scratch-repository.ts';

const runs = Number(process.env.HOLDFAST_FUZZ_RUNS ?? 250);

/** Volumes below `source/`, Docker's own folders, a container's file system, one volume: as scripts and programs leave them. */
function layouts(t: TestContext): string[] {
  const folder = scratch(t);
  const roots = [
    'source/source/data',
    'docker/var/lib/docker/volumes/shop_data/_data',
    'container/var/lib/app',
    'offen/backup/data',
    'single',
  ];
  for (const root of roots) {
    const volume = join(folder, root);
    mkdirSync(join(volume, 'directory', 'inner'), { recursive: true });
    writeFileSync(join(volume, 'file'), 'content\n'.repeat(100));
    writeFileSync(join(volume, 'directory', 'n'.repeat(120)), 'long name');
    writeFileSync(join(volume, 'directory', 'ünicode \xff'), '');
    linkSync(join(volume, 'file'), join(volume, 'directory', 'other name'));
    symlinkSync('../../outside', join(volume, 'directory', 'inner', 'symlink'));
    writeFileSync(join(volume, 'hole'), 'begin');
    truncateSync(join(volume, 'hole'), 300_000);
  }
  writeFileSync(join(folder, 'container', '.dockerenv'), '');
  return ['source', 'docker', 'container', 'offen', 'single'].map((name) => join(folder, name));
}

/** Each layout by another program or in another format; some compressed. */
function archives(t: TestContext): Buffer[] {
  const makers: [string | undefined, string[]][] = [
    ['tar', ['--format=pax', '--sparse', '--xattrs', '-cf', '-']],
    ['tar', ['--format=gnu', '--sparse', '-cf', '-']],
    ['tar', ['--format=pax', '--sparse', '--sparse-version=0.1', '-cf', '-']],
    [peer('busybox'), ['tar', 'cf', '-']],
    [peer('bsdtar'), ['--format=pax', '-cf', '-']],
  ];
  return layouts(t).flatMap((folder) =>
    makers.flatMap(([program, options]) =>
      program === undefined
        ? []
        : [execFileSync(program, [...options, '-C', folder, '.'], { maxBuffer: 1e8, stdio: ['ignore', 'pipe', 'ignore'] })],
    ),
  );
}

const blockBytes = 512;

/** A header's checksum made right again, so that what was changed in it is believed. */
function repair(archive: Buffer, block: number): void {
  const header = archive.subarray(block * blockBytes, (block + 1) * blockBytes);
  if (header.length < blockBytes) return;
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

type Change = { block: number; at: number; byte: number; what: 'byte' | 'digits' | 'negative' | 'cut' | 'repeat' | 'drop' };
const change: fc.Arbitrary<Change> = fc.record({
  block: fc.nat(100),
  // Where names, sizes, types, targets and sparse maps lie, more than elsewhere.
  at: fc.oneof(fc.nat(511), fc.constantFrom(0, 1, 100, 124, 130, 135, 136, 156, 157, 257, 345, 386, 482, 483)),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('./0123456789xgLKSDV\0 ='))),
  what: fc.constantFrom('byte', 'byte', 'byte', 'digits', 'negative', 'cut', 'repeat', 'drop'),
});

function changed(archive: Buffer, { block, at, byte, what }: Change, repaired: boolean): Buffer {
  const blocks = Math.ceil(archive.length / blockBytes);
  const number = block % Math.max(1, blocks);
  const start = number * blockBytes;
  if (what === 'cut') return archive.subarray(0, start + at);
  if (what === 'drop') return Buffer.concat([archive.subarray(0, start), archive.subarray(start + blockBytes)]);
  if (what === 'repeat') return Buffer.concat([archive.subarray(0, start + blockBytes), archive.subarray(start)]);
  const copy = Buffer.from(archive);
  if (what === 'byte') copy.fill(byte, start + at, Math.min(start + at + 1, copy.length));
  // Numbers as large as fields allow, in digits and in base 256.
  else copy.fill(what === 'digits' ? '7' : 0xff, start + at, Math.min(start + at + 11, copy.length));
  if (repaired) repair(copy, number);
  return copy;
}

const lane: Lane = {
  async call<Reply>(message: unknown) {
    const { memory, lengths } = message as Extract<BackupCall, { call: 'blobs' }>;
    let at = 0;
    const ids = lengths.map((length) => {
      at += length;
      return createHash('sha256')
        .update(Buffer.from(memory, at - length, length))
        .digest();
    });
    return Buffer.concat(ids) as Reply;
  },
};

/** Stores nothing; trees are read as a restore reads them. */
function storingRun(): StoringRun {
  const packs = {
    add(_: string, __: Buffer, plain: Uint8Array) {
      decodeTree(Buffer.from(plain));
      return { plainBytes: plain.length, storedBytes: 0 };
    },
    full: false,
  };
  return {
    lanes: [lane],
    counters: createCounters(2),
    onNotice: () => undefined,
    packs: () => packs as unknown as PackWriter,
    makeDurable: async () => undefined,
    keepWhatIsStored: async () => undefined,
    close: async () => undefined,
  };
}

function importBytes(bytes: Buffer): Promise<ImportResult> {
  const pieces = (async function* () {
    for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
  })();
  return importArchive({
    repository: { config: { chunkerPolynomial: scratchOptions.chunkerPolynomial } } as Repository,
    index: new BlobIndex(),
    run: storingRun(),
    snapshots: [],
    project: 'shop',
    volumes: [{ name: 'data', platformName: 'shop_data', path: '/var/lib/app' }],
    archive: { name: 'archive', fileName: 'data.tar', fileTimeMs: undefined, bytes: pieces },
    ...{ layout: 'auto', volume: undefined, timeMs: undefined, consistency: 'crash', maxBytes: 50_000_000 },
    ...{ devices: false, again: true, programVersion: 'test', dryRun: true },
    report: () => undefined,
    signal: new AbortController().signal,
    clock: machineClock,
  });
}

const expected = ['archive-damaged', 'archive-too-large', 'usage'];

test('whatever is wrong with an archive, there are trees or an error that says so', async (t) => {
  const whole = archives(t);
  for (const archive of whole) {
    const { volumes } = await importBytes(archive);
    assert.deepEqual(
      volumes.map(({ volume }) => volume),
      ['data'],
    );
  }
  const counts = { trees: 0, errors: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...whole),
      fc.array(change, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 9 }),
      async (archive, changes, repaired, compressed) => {
        let bytes = archive;
        for (const one of changes) bytes = changed(bytes, one, repaired);
        if (compressed === 0) bytes = changed(gzipSync(bytes), changes[0] as Change, false);
        const startedMs = performance.now();
        try {
          await importBytes(bytes);
          counts.trees++;
        } catch (error) {
          assert.ok(error instanceof HoldfastError && expected.includes(error.code), String((error as Error).stack));
          counts.errors++;
        }
        assert.ok(performance.now() - startedMs < 20_000, 'it took too long');
      },
    ),
    { numRuns: runs },
  );
  assert.ok(counts.trees > runs / 20 && counts.errors > runs / 20, JSON.stringify(counts));
  assert.ok(process.resourceUsage().maxRSS < 600 * 1024, `${process.resourceUsage().maxRSS} KiB`);
});
