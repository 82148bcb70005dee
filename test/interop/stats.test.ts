/** `stats` counts what restic counts, where both mean the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documents, restic } from '../programs.ts';
import { browsedProject } from './browsed-project.ts';

test('stats of all snapshots, and of one', async (t) => {
  const setUp = await browsedProject(t);
  if (!setUp) return;
  const { program, project, ids, ask } = setUp;
  for (const chosen of [[], [ids[0]], [...ids]]) {
    const mode = (name: string) => documents(restic(program, project, ['stats', '--json', '--mode', name, ...chosen]).stdout)[0];
    const [volume, total] = await ask(['stats', ...chosen]);
    assert.equal(volume.volume, 'data');
    assert.deepEqual({ ...volume, project: undefined, volume: undefined }, { ...total, project: undefined, volume: undefined });
    const restored = mode('restore-size');
    assert.deepEqual(
      { entries: total.restore.entries, bytes: total.restore.bytes, snapshots: total.snapshots },
      { entries: restored.total_file_count, bytes: restored.total_size, snapshots: restored.snapshots_count },
    );
    const distinct = mode('files-by-contents');
    assert.deepEqual(total.distinctFiles, { files: distinct.total_file_count, bytes: distinct.total_size });
    const raw = mode('raw-data');
    const blobs = total.blobs.data + total.blobs.trees;
    assert.deepEqual([blobs, total.blobs.storedBytes], [raw.total_blob_count, raw.total_size]);
    // restic counts the seal of each blob, 32 bytes, to its size before compression.
    assert.equal(total.blobs.plainBytes + 32 * blobs, raw.total_uncompressed_size);
    assert.equal(total.blobs.missing, 0);
  }
});
