import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { HoldfastError } from '../../model/errors.ts';
import { bitsFor, hasBit, setBit } from './entry-bits.ts';
import { PruneIndex } from './prune-index.ts';
import { defaultLimits, type PruneLimits, type PrunePlan, plannedPacks, planPrune, type StoredPacks } from './prune-plan.ts';

const idOf = (name: string) => createHash('sha256').update(name).digest('hex');
const mebibyte = 1024 * 1024;

/** A blob, by its number: what it is follows from that, so that its copies agree. */
type Blob = { number: number; kind: 'data' | 'tree'; length: number; compressed: boolean };
type Pack = { id: string; blobs: Blob[]; stored: 'whole' | 'missing' | 'cut' };
type World = { packs: Pack[]; files: number[][]; used: Set<number>; unreferenced: number[]; formatVersion: 1 | 2 };

const blobName = ({ kind, number }: Blob) => `${kind} ${number}`;
const sizeOf = ({ blobs }: Pick<Pack, 'blobs'>) => 36 + blobs.reduce((sum, blob) => sum + storedBytes(blob), 0);
const storedBytes = ({ length, compressed }: Blob) => length + (compressed ? 41 : 37);

function indexJson(packs: readonly Pack[]): Buffer {
  const documents = packs.map(({ id, blobs }) => {
    let offset = 0;
    return {
      id,
      blobs: blobs.map((blob) => {
        const place = { id: idOf(blobName(blob)), type: blob.kind, offset, length: blob.length };
        offset += blob.length;
        return blob.compressed ? { ...place, uncompressed_length: blob.length * 2 } : place;
      }),
    };
  });
  return Buffer.from(JSON.stringify({ packs: documents }));
}

function planWorld(world: World, limits: PruneLimits): { plan: PrunePlan; index: PruneIndex; stored: StoredPacks } {
  const index = new PruneIndex();
  for (const [number, file] of world.files.entries())
    index.enter(idOf(`index ${number}`), indexJson(file.map((pack) => world.packs[pack] as Pack)));
  index.sortByPack();
  const used = bitsFor(index.blobs.size);
  for (const pack of world.packs) {
    for (const blob of pack.blobs) {
      const entry = world.used.has(blob.number) ? index.blobs.find(idOf(blobName(blob)), blob.kind) : -1;
      if (entry >= 0) setBit(used, entry);
    }
  }
  const sizes = new Float64Array(index.blobs.packCount).fill(-1);
  for (const pack of world.packs) {
    const number = index.packNumber(pack.id);
    if (number !== undefined && pack.stored !== 'missing') sizes[number] = sizeOf(pack) - (pack.stored === 'cut' ? 1 : 0);
  }
  const stored = { sizes, unreferenced: world.unreferenced.map((sizeBytes, i) => ({ pack: idOf(`unreferenced ${i}`), sizeBytes })) };
  return { index, stored, plan: planPrune({ index, used, stored, formatVersion: world.formatVersion, limits }) };
}

/** Blob numbers below 40 come up in several packs; lengths reach from tiny to a few MiB, so that packs are small and large. */
const blobArbitrary = fc.integer({ min: 0, max: 79 }).map((number): Blob => {
  const noise = createHash('sha256').update(`blob ${number}`).digest();
  return {
    number,
    kind: (noise[0] as number) < 64 ? 'tree' : 'data',
    length: 33 + (noise.readUInt32LE(1) % ((noise[5] as number) < 128 ? 3000 : 4 * mebibyte)),
    compressed: (noise[6] as number) < 200,
  };
});

const packArbitrary = (trouble: boolean) =>
  fc.record({
    blobs: fc.uniqueArray(blobArbitrary, { minLength: 1, maxLength: 12, selector: blobName }),
    stored: trouble
      ? fc.constantFrom<Pack['stored']>('whole', 'whole', 'whole', 'whole', 'missing', 'cut')
      : fc.constant<Pack['stored']>('whole'),
    // Most packs are of one kind.
    mixed: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });

const worldArbitrary = (trouble: boolean) =>
  fc
    .record({
      packs: fc.array(packArbitrary(trouble), { maxLength: 30 }),
      used: fc.array(fc.integer({ min: 0, max: 79 })),
      unreferenced: fc.array(fc.integer({ min: 0, max: 5 * mebibyte }), { maxLength: 3 }),
      formatVersion: fc.constantFrom<1 | 2>(1, 2),
      cut: fc.integer({ min: 0, max: 30 }),
      twice: fc.boolean(),
    })
    .map(({ packs: raw, used, unreferenced, formatVersion, cut, twice }): World => {
      const packs = raw.map(({ blobs, stored, mixed }, number): Pack => {
        const kind = blobs[0]?.kind;
        return { id: idOf(`pack ${number}`), blobs: mixed ? blobs : blobs.filter((blob) => blob.kind === kind), stored };
      });
      const numbers = [...packs.keys()];
      // An interrupted run leaves packs that two index files name.
      const files = [numbers.slice(0, cut), numbers.slice(twice ? Math.max(0, cut - 1) : cut)];
      return { packs, files, used: new Set(used), unreferenced, formatVersion };
    });

const limitsArbitrary = fc.record({
  maxUnused: fc.oneof(
    fc.record({ percent: fc.integer({ min: 0, max: 99 }) }),
    fc.record({ bytes: fc.integer({ min: 0, max: 20 * mebibyte }) }),
    fc.constant('unlimited' as const),
  ),
  maxRepackBytes: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: 50 * mebibyte })),
  repackSmall: fc.boolean(),
  repackUncompressed: fc.boolean(),
  repackCacheableOnly: fc.boolean(),
});

/** Blobs after the plan is carried out, from where: whole packs that stay, and what is copied out of those that are repacked. */
function outcome(world: World, { index, plan }: ReturnType<typeof planWorld>) {
  const kept = new Set<string>();
  const copied: string[] = [];
  for (const pack of world.packs) {
    const action = plan.actions[index.packNumber(pack.id) as number];
    if (action === 'keep') for (const blob of pack.blobs) kept.add(blobName(blob));
  }
  for (let entry = 0; entry < index.blobs.size; entry++) {
    if (!hasBit(plan.copied, entry)) continue;
    assert.equal(plan.actions[index.blobs.packNumberOf(entry)], 'repack', 'a blob is copied out of a pack that is not repacked');
    const pack = world.packs.find(({ id }) => id === index.blobs.packId(index.blobs.packNumberOf(entry))) as Pack;
    assert.equal(pack.stored, 'whole');
    copied.push(blobName(pack.blobs.find((blob) => idOf(blobName(blob)) === index.blobs.idOf(entry)) as Blob));
  }
  return { kept, copied };
}

test('no used blob loses its last copy, nothing is copied twice, and as much is freed as the plan says', () => {
  fc.assert(
    fc.property(worldArbitrary(false), limitsArbitrary, (world, limits) => {
      const planned = planWorld(world, limits);
      const { plan, index } = planned;
      const { kept, copied } = outcome(world, planned);
      assert.equal(new Set(copied).size, copied.length, 'a blob is copied twice');
      let afterBytes = 0;
      for (const pack of world.packs) {
        for (const blob of pack.blobs) {
          if (world.used.has(blob.number))
            assert.ok(kept.has(blobName(blob)) || copied.includes(blobName(blob)), `${blobName(blob)} is lost`);
        }
        if (plan.actions[index.packNumber(pack.id) as number] === 'keep') afterBytes += sizeOf(pack);
      }
      for (const name of copied) {
        assert.ok(!kept.has(name), `${name} is copied, and in a pack that stays`);
        const blob = world.packs.flatMap(({ blobs }) => blobs).find((candidate) => blobName(candidate) === name) as Blob;
        assert.ok(world.used.has(blob.number), `${name} is copied, and not used`);
        afterBytes += storedBytes(blob);
      }
      const total = world.packs.reduce((sum, pack) => sum + sizeOf(pack), 0) + world.unreferenced.reduce((sum, bytes) => sum + bytes, 0);
      assert.equal(plan.summary.bytes.total, total);
      assert.equal(plan.summary.bytes.total - plan.summary.bytes.free, afterBytes);
      assert.equal(plan.summary.blobs.repack, copied.length);
    }),
    { numRuns: runs(400) },
  );
});

test('limits are kept: unused data left, bytes repacked, packs of data left alone', () => {
  fc.assert(
    fc.property(worldArbitrary(false), limitsArbitrary, (world, limits) => {
      const { plan, index, stored } = planWorld(world, limits);
      const { usage, summary } = plan;
      assert.ok(summary.bytes.repack <= limits.maxRepackBytes);
      const packs = [...plannedPacks(index, stored, plan)];
      assert.equal(packs.length, new Set(world.packs.map(({ id }) => id)).size + world.unreferenced.length);
      const { maxUnused } = limits;
      const { usedBytes } = usage.totals;
      const allowed =
        maxUnused === 'unlimited'
          ? Infinity
          : 'bytes' in maxUnused
            ? maxUnused.bytes
            : (usedBytes * maxUnused.percent) / (100 - maxUnused.percent);
      for (const { action, kind, unusedBlobs, usedBlobs } of packs) {
        if (action === 'keep') assert.ok(usedBlobs > 0, 'a pack of which nothing is used stays');
        if (action === 'repack' && limits.repackCacheableOnly) assert.notEqual(kind, 'data');
        const bounded = limits.maxRepackBytes !== Infinity || limits.repackCacheableOnly;
        if (action === 'keep' && unusedBlobs > 0 && !bounded) assert.ok(summary.bytes.unusedLeft < Math.max(allowed, 1));
      }
    }),
    { numRuns: runs(400) },
  );
});

test('packs that are missing or cut: copies elsewhere are used, and without one the plan is refused', () => {
  let refused = 0;
  fc.assert(
    fc.property(worldArbitrary(true), limitsArbitrary, (world, limits) => {
      const sound = new Set(world.packs.filter(({ stored }) => stored === 'whole').flatMap(({ blobs }) => blobs.map(blobName)));
      const lost = world.packs.some(({ blobs }) => blobs.some((blob) => world.used.has(blob.number) && !sound.has(blobName(blob))));
      if (lost) {
        refused++;
        assert.throws(
          () => planWorld(world, limits),
          (error) => error instanceof HoldfastError && error.code === 'damaged',
        );
        return;
      }
      const planned = planWorld(world, limits);
      const { kept, copied } = outcome(world, planned);
      for (const { blobs } of world.packs) {
        for (const blob of blobs) if (world.used.has(blob.number)) assert.ok(kept.has(blobName(blob)) || copied.includes(blobName(blob)));
      }
      for (const { id, stored } of world.packs) {
        if (stored !== 'whole') assert.equal(planned.plan.actions[planned.index.packNumber(id) as number], 'remove');
      }
    }),
    { numRuns: runs(400) },
  );
  assert.ok(refused > runs(400) / 100, 'hardly any world lost something');
});

test('a copy that stays is relied upon whenever another copy goes', () => {
  fc.assert(
    fc.property(worldArbitrary(true), limitsArbitrary, (world, limits) => {
      let planned: ReturnType<typeof planWorld>;
      try {
        planned = planWorld(world, limits);
      } catch {
        return;
      }
      const { plan, index } = planned;
      const actionsOf = new Map<string, Set<string>>();
      for (const pack of world.packs) {
        for (const blob of pack.blobs) {
          if (!world.used.has(blob.number)) continue;
          const actions = actionsOf.get(blobName(blob)) ?? new Set();
          actionsOf.set(blobName(blob), actions.add(plan.actions[index.packNumber(pack.id) as number] as string));
        }
      }
      const relied = new Set<string>();
      for (let entry = 0; entry < index.blobs.size; entry++) {
        if (!hasBit(plan.relied, entry)) continue;
        assert.equal(plan.actions[index.blobs.packNumberOf(entry)], 'keep');
        relied.add(index.blobs.idOf(entry));
      }
      for (const [name, actions] of actionsOf) {
        assert.equal(relied.has(idOf(name)), actions.has('keep') && actions.size > 1, name);
      }
    }),
    { numRuns: runs(200) },
  );
});

const pack = (name: string, blobs: Blob[]): Pack => ({ id: idOf(name), blobs, stored: 'whole' });
const data = (number: number, length = 6 * mebibyte, compressed = true): Blob => ({ number, kind: 'data', length, compressed });
const tree = (number: number, compressed = true): Blob => ({ number, kind: 'tree', length: 6 * mebibyte, compressed });

/** What happens to each pack. */
function actionsFor(packs: Pack[], used: number[], limits: Partial<PruneLimits> = {}, formatVersion: 1 | 2 = 2): string[] {
  const world: World = { packs, files: [[...packs.keys()]], used: new Set(used), unreferenced: [], formatVersion };
  return planWorld(world, { ...defaultLimits, ...limits }).plan.actions;
}

test('packs with the largest share of unused data go first, until what is left is below the limit', () => {
  const packs = [
    pack('full', [data(1), data(2), data(3)]),
    pack('a third', [data(4), data(5), data(6)]),
    pack('two thirds', [data(7), data(8), data(9)]),
    pack('unused', [data(10)]),
  ];
  const used = [1, 2, 3, 4, 5, 7];
  assert.deepEqual(actionsFor(packs, used), ['keep', 'repack', 'repack', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { maxUnused: { percent: 25 } }), ['keep', 'keep', 'repack', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { maxUnused: { bytes: 8 * mebibyte } }), ['keep', 'keep', 'repack', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { maxUnused: 'unlimited' }), ['keep', 'keep', 'keep', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { maxRepackBytes: 20 * mebibyte }), ['keep', 'keep', 'repack', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { maxRepackBytes: 0 }), ['keep', 'keep', 'keep', 'remove']);
  assert.deepEqual(actionsFor(packs, used, { repackCacheableOnly: true }), ['keep', 'keep', 'keep', 'remove']);
});

test('packs that hold trees are cleaned whatever the limit, separated from data, and compressed', () => {
  const packs = [
    pack('trees', [tree(1), tree(2)]),
    pack('mixed', [tree(3), data(4)]),
    pack('old', [tree(5, false)]),
    pack('good', [tree(6)]),
  ];
  assert.deepEqual(actionsFor(packs, [1, 3, 4, 5, 6], { maxUnused: 'unlimited' }), ['repack', 'repack', 'repack', 'keep']);
  assert.deepEqual(actionsFor(packs, [1, 3, 4, 5, 6], {}, 1), ['repack', 'repack', 'keep', 'keep']);
});

test('uncompressed data are compressed only when that is asked for', () => {
  const packs = [pack('old', [data(1, 6 * mebibyte, false)]), pack('new', [data(2)])];
  assert.deepEqual(actionsFor(packs, [1, 2]), ['keep', 'keep']);
  assert.deepEqual(actionsFor(packs, [1, 2], { repackUncompressed: true, maxUnused: 'unlimited' }), ['repack', 'keep']);
});

test('small packs are joined when there are ten', () => {
  const small = (count: number) => Array.from({ length: count }, (_, i) => pack(`small ${i}`, [data(i, 1000)]));
  const used = [...Array(20).keys()];
  assert.deepEqual(new Set(actionsFor(small(9), used)), new Set(['keep']));
  assert.deepEqual(new Set(actionsFor(small(10), used)), new Set(['repack']));
  const beside = (bytes: number) => [...small(5), pack('beside', [data(30, bytes), data(31, 100)])];
  assert.deepEqual(actionsFor(beside(mebibyte), [...used, 30], { maxUnused: 'unlimited' }).at(-1), 'repack');
  assert.deepEqual(actionsFor(beside(4 * mebibyte), [...used, 30], { maxUnused: 'unlimited' }).at(-1), 'keep');
  const medium = Array.from({ length: 10 }, (_, i) => pack(`medium ${i}`, [data(i)]));
  assert.deepEqual(new Set(actionsFor(medium, used)), new Set(['keep']));
  assert.deepEqual(new Set(actionsFor(medium, used, { repackSmall: true })), new Set(['repack']));
});

test('after an interrupted prune, the copies that it made stay, and what they were made of goes', () => {
  const packs = [pack('old', [data(1), data(2), data(3)]), pack('copies', [data(1), data(3)])];
  assert.deepEqual(actionsFor(packs, [1, 3]), ['remove', 'keep']);
});
