import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../test/peers.ts';
import { writeCopyInEffect } from '../control/configuration/copy-in-effect.ts';
import { loadConfiguration } from '../control/configuration/load.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Inventory, PlatformVolume } from '../platform/platform.ts';
import { completeProject } from './labelled-project.ts';
import type { Platforms } from './platforms.ts';

const labels = { 'holdfast.criticality': 'critical', 'holdfast.sensitive': 'true' };
const volume = { name: 'shop_data', key: 'data', project: 'shop', labels, users: [], anonymous: false } as unknown as PlatformVolume;
const platformsOf = (inventory: () => Promise<Inventory>): Platforms =>
  ({ docker: async () => ({ platform: { inventory } }) }) as unknown as Platforms;

test('jobs of a daemon go by what was in effect when holdfast.yaml has mistakes or is gone: labels complete that, and not more', async (t) => {
  const folder = scratch(t);
  const [file, copy] = ['holdfast.yaml', 'in-effect'].map((name) => join(folder, name)) as [string, string];
  await writeCopyInEffect(copy, 'project: shop\nvolumes: { data: { criticality: low } }\n', file);
  const platforms = platformsOf(async () => ({ volumes: [volume], containers: [], bindMounts: [] }));
  for (const text of [undefined, 'volumes: { data: [', 'project: shop\nvolumes: { data: }\n']) {
    if (text !== undefined) writeFileSync(file, text);
    const { configuration, answered, conflicts } = await completeProject(await loadConfiguration(copy), platforms);
    assert.deepEqual([configuration.volumes[0]?.criticality, configuration.volumes[0]?.sensitive], ['low', true], text ?? 'gone');
    assert.deepEqual([answered, conflicts.length, configuration.file], [true, 1, file]);
  }
});

test('whether an Engine has told of labels is said', async (t) => {
  const file = join(scratch(t), 'holdfast.yaml');
  const silent = platformsOf(async () => {
    throw new HoldfastError('engine-unreachable', 'gone');
  });
  writeFileSync(file, 'project: shop\nvolumes: { data: }\n');
  assert.equal((await completeProject(await loadConfiguration(file), silent)).answered, false);
  writeFileSync(file, 'project: shop\nvolumes: { data: { source: { directory: /srv } } }\n');
  assert.equal((await completeProject(await loadConfiguration(file), silent)).answered, undefined);
});
