import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlatformContainer, PlatformVolume } from '../../platform/platform.ts';
import { parseConfiguration } from '../configuration/parse.ts';
import { completeByLabels } from './labels.ts';

const text = 'project: shop\nvolumes:\n  data: {criticality: moderate, exclude: ["*.tmp"]}\n  other:\n';
const configuration = parseConfiguration(text, '/srv/shop/holdfast.yaml');

function volumeOf(key: string, labels: Record<string, string>, serviceLabels: Record<string, string> = {}): PlatformVolume {
  const container = { name: 'c', labels: serviceLabels } as unknown as PlatformContainer;
  const users = [{ container, path: '/data', readOnly: false }];
  const base = { anonymous: false, driver: 'local', driverOptions: {}, mountPoint: undefined, createdAt: undefined };
  return { ...base, name: `shop_${key}`, project: 'shop', key, labels, users };
}

const complete = (...volumes: PlatformVolume[]) => {
  const { configuration: completed, ...rest } = completeByLabels(configuration, text, { volumes, containers: [], bindMounts: [] });
  return { ...rest, volumes: new Map(completed.volumes.map((volume) => [volume.name, volume])) };
};

test('labels complete what the file does not say, and change nothing that it says', () => {
  const { volumes, remarks, conflicts, taken } = complete(
    volumeOf('data', {
      'holdfast.criticality': 'low',
      'holdfast.sensitive': 'true',
      'holdfast.size': '5Gi',
      'holdfast.exclude': 'a, b',
      unrelated: 'x',
    }),
    volumeOf('other', { 'holdfast.criticality': 'low' }, { 'holdfast.criticality': 'moderate', 'holdfast.app': 'redis' }),
  );
  const data = volumes.get('data');
  assert.deepEqual([data?.criticality, data?.sensitive, data?.sizeBytes, data?.exclude], ['moderate', true, 5 * 2 ** 30, ['*.tmp']]);
  const other = volumes.get('other');
  assert.deepEqual([other?.criticality, other?.app], ['low', 'redis'], "the volume's own label goes before its service's");
  assert.deepEqual(remarks, []);
  assert.equal(conflicts.length, 2, 'criticality and exclude');
  assert.match(conflicts.join(), /volume data: .* label holdfast.criticality of volume shop_data/);
  assert.deepEqual(
    taken.find(({ key }) => key === 'app'),
    { volume: 'other', key: 'app', value: 'redis', from: 'container c' },
  );
});

test('a volume with labels needs no declaration; one that is disabled is not missed', () => {
  const { volumes, disabled } = complete(
    volumeOf('third', { 'holdfast.criticality': 'low' }),
    volumeOf('cache', { 'holdfast.enabled': 'false' }),
    volumeOf('plain', {}),
    { ...volumeOf('data', { 'holdfast.size': '1' }), project: 'elsewhere', name: 'elsewhere_data' },
  );
  assert.deepEqual([...volumes.keys()], ['data', 'other', 'third']);
  assert.deepEqual([volumes.get('third')?.path, volumes.get('third')?.source], ['/data', { kind: 'by-name' }]);
  assert.deepEqual([...disabled], ['shop_cache']);
  assert.equal(volumes.get('data')?.sizeBytes, undefined);
});

test('labels that say nothing are remarked upon', () => {
  const { remarks, volumes } = complete(
    volumeOf('data', { 'holdfast.size': 'large', 'holdfast.app': 'excel', 'holdfast.sensitive': 'perhaps' }),
    volumeOf('other', { 'holdfast.enabled': 'false' }),
  );
  assert.equal(remarks.length, 4);
  assert.equal(volumes.get('data')?.sizeBytes, undefined);
});

test("names of labels are anybody's", () => {
  const odd = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const { remarks, taken } = complete(volumeOf('data', Object.fromEntries(odd.map((name) => [`holdfast.${name}`, 'x']))));
  assert.deepEqual(taken, []);
  assert.deepEqual(
    remarks,
    odd.map((name) => `volume data: there is no label holdfast.${name} (volume shop_data)`),
  );
});
