import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VolumeConfiguration } from '../configuration/configuration.ts';
import type { DiscoveredVolume } from './discovered.ts';
import { type Uncovered, uncoveredReasons, uncoveredVolumes } from './uncovered.ts';

const volume = (name: string, more: Partial<DiscoveredVolume> = {}): DiscoveredVolume => ({
  name,
  mounts: [],
  app: undefined,
  source: undefined,
  ...more,
});
const found = (...volumes: DiscoveredVolume[]) => ({
  directory: '/srv/shop',
  project: 'shop',
  files: [],
  volumes,
  notCovered: [],
  remarks: [],
});
const named = (name: string, source: VolumeConfiguration['source'] = { kind: 'by-name' }) => ({ name, source }) as VolumeConfiguration;

test('volumes that neither a name nor a source of the configuration is; a label declares one as well', () => {
  const uncovered = uncoveredVolumes(
    found(
      volume('by-name'),
      volume('renamed'),
      volume('external', { source: { docker: 'of-others' } }),
      volume('foreign', { source: { docker: 'foreign' } }),
      volume('labelled', { labelled: true }),
      volume('new'),
    ),
    {
      volumes: [
        named('by-name'),
        named('other', { kind: 'docker', volume: 'shop_renamed' }),
        named('another', { kind: 'docker', volume: 'of-others' }),
      ],
    },
  );
  assert.deepEqual(uncovered, ['foreign', 'new']);
});

test('the project is at risk while there are any', () => {
  const facts = (known: Uncovered | undefined) => ({ get: <T>() => known as T | undefined });
  assert.deepEqual(uncoveredReasons(facts(undefined)), []);
  assert.deepEqual(uncoveredReasons(facts({ file: 'compose.yaml', volumes: [] })), []);
  const [reason, ...more] = uncoveredReasons(facts({ file: 'compose.yaml', volumes: ['a', 'b'] }));
  assert.deepEqual([reason?.kind, reason?.condition, more], ['not-covered', 'at-risk', []]);
  assert.match(`${reason?.message} ${reason?.remedy}`, /no backup holds a, b: compose.yaml .* a: {}, b: {}/);
});
