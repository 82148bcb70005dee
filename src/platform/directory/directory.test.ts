import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { VolumeReference } from '../platform.ts';
import { createDirectoryPlatform } from './directory.ts';

const reference = (source: VolumeReference['source']): VolumeReference => ({ name: 'data', project: 'shop', source });

test('a directory is where it was said to be, there or not', async (t) => {
  const folder = scratch(t);
  const platform = createDirectoryPlatform();
  const locate = async (directory: string) => platform.locate(reference({ kind: 'directory', directory }));
  assert.deepEqual(await locate(folder), { name: 'data', directory: folder, exists: true });
  assert.equal((await locate(join(folder, 'missing'))).exists, false);
  writeFileSync(join(folder, 'file'), '');
  assert.equal((await locate(join(folder, 'file'))).exists, false);
  symlinkSync(folder, join(folder, 'link'));
  assert.equal((await locate(join(folder, 'link'))).exists, true);
});

test("Docker's volumes are found in its data root: by their own name, and by that of project and volume", async (t) => {
  const dockerDataRoot = scratch(t);
  const platform = createDirectoryPlatform({ dockerDataRoot });
  for (const volume of ['shop_data', 'other']) mkdirSync(join(dockerDataRoot, 'volumes', volume, '_data'), { recursive: true });
  const directoryOf = async (source: VolumeReference['source']) => (await platform.locate(reference(source))).directory;
  assert.equal(await directoryOf({ kind: 'by-name' }), join(dockerDataRoot, 'volumes', 'shop_data', '_data'));
  assert.equal(await directoryOf({ kind: 'docker', volume: 'other' }), join(dockerDataRoot, 'volumes', 'other', '_data'));
});

test('a volume that cannot be found says where it was looked for, and what to write', async (t) => {
  const platform = createDirectoryPlatform({ dockerDataRoot: scratch(t) });
  const refused = (source: VolumeReference['source'], code: string, message: RegExp) =>
    assert.rejects(platform.locate(reference(source)), (error) => {
      assert.ok(error instanceof HoldfastError);
      assert.deepEqual([error.code, error.volume], [code, 'data']);
      assert.match(error.message, message);
      assert.match(error.remedy, /source: \{directory: /);
      return true;
    });
  await refused({ kind: 'by-name' }, 'volume-missing', /shop_data .*volumes\/shop_data\/_data/);
  await refused({ kind: 'docker', volume: 'gone' }, 'volume-missing', /gone/);
  await refused({ kind: 'pvc', namespace: 'n', claim: 'c' }, 'unsupported', /Kubernetes/);
});
