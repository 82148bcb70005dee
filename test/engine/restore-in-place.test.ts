/** A restore of a part of a volume that somebody else can write to: the way to the part changes while it is restored. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { placeInVolume } from '../../src/engine/restore/in-place.ts';
import { type RawString, rawFromText } from '../../src/model/raw-bytes.ts';
import { createBlobReader } from '../../src/repository/blob-reader.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { RestoreFixture, restoreFrom } from './restore-support.ts';

async function damagedVolume(t: TestContext) {
  const fixture = new RestoreFixture(t);
  await fixture.create();
  fixture.file('deep/x/y', 'content');
  fixture.file('deep/x/z', 'more');
  const snapshot = await fixture.backUp();
  const outside = join(fixture.root, 'outside');
  mkdirSync(join(outside, 'x'), { recursive: true });
  const repository = await fixture.open();
  const { storage, seal } = repository;
  const blobs = createBlobReader({ storage, seal, index: await loadIndex(repository) });
  const place = (path: string) =>
    placeInVolume({
      blobs,
      snapshot,
      volume: 'volume',
      directory: fixture.source,
      subtree: rawFromText(path),
      dryRun: false,
      warn: () => undefined,
    });
  return { ...fixture, volume: fixture.source, outside, place };
}

/** A directory of the volume makes way for a symlink to one outside. */
function swap(directory: string, target: string): void {
  renameSync(directory, `${directory}-hidden`);
  symlinkSync(target, directory);
}

for (const [part, swapped, leadsTo] of [
  ['deep/x', 'deep', ''],
  ['deep/x', 'deep/x', 'x'],
  ['deep/x/y', 'deep', ''],
  ['deep/x/y', 'deep/x', 'x'],
] as const) {
  // 'volume-started' is reported just before the target is opened.
  for (const moment of ['between the look and the restore', 'just before the target is opened'] as const) {
    test(`${part}: ${swapped} becomes a symlink ${moment}: nothing outside is written or removed`, async (t) => {
      const { folder, volume, outside, place } = await damagedVolume(t);
      rmSync(join(volume, 'deep/x/y'));
      const beneath = await place(part);
      assert.equal(beneath, 'deep/x');
      const swapNow = () => swap(join(volume, swapped), join(outside, leadsTo));
      if (moment === 'between the look and the restore') swapNow();
      const restoring = restoreFrom(folder, {
        target: volume,
        beneath,
        subtree: rawFromText(part),
        delete: true,
        report: ({ event }) => {
          if (event === 'volume-started' && moment !== 'between the look and the restore') swapNow();
        },
      });
      await assert.rejects(restoring, { code: 'target-unwritable', message: /symlink.* in the way/ });
      assert.deepEqual(readdirSync(outside, { recursive: true }), ['x']);
    });
  }
}

test('a part that is gone is made where it belongs, and not where a symlink leads that took the place of its parent', async (t) => {
  const { folder, volume, outside, place } = await damagedVolume(t);
  rmSync(join(volume, 'deep/x'), { recursive: true });
  rmSync(join(outside, 'x'), { recursive: true });
  const beneath = await place('deep/x');
  const options = { target: volume, beneath, subtree: 'deep/x' as RawString };
  swap(join(volume, 'deep'), outside);
  await assert.rejects(restoreFrom(folder, options), { code: 'target-unwritable' });
  assert.deepEqual(readdirSync(outside), []);
  rmSync(join(volume, 'deep'));
  renameSync(join(volume, 'deep-hidden'), join(volume, 'deep'));
  await restoreFrom(folder, { ...options, dryRun: true });
  assert.ok(!existsSync(join(volume, 'deep/x')), 'a dry run makes nothing');
  const { events } = await restoreFrom(folder, options);
  assert.equal(readFileSync(join(volume, 'deep/x/y'), 'utf8'), 'content');
  assert.ok(events.some((event) => event.event === 'restored' && event.target === join(volume, 'deep/x')));
});
