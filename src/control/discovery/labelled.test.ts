import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from '../../../test/assessed-project.ts';
import type { VolumeConfiguration } from '../configuration/configuration.ts';
import { labelledOf, namesDeclaredBy, withLabelled } from './labelled.ts';

const written = configurationOf({ volumes: ['data', 'logs'] });
const [data, logs] = written.volumes as [VolumeConfiguration, VolumeConfiguration];
const low = { ...data, criticality: 'low' as const };
const more = { ...data, name: 'more', sizeBytes: 5 };
/** As the daemon keeps it. */
const known = JSON.parse(JSON.stringify(labelledOf(written.volumes, [low, logs, more])));

test('what labels complete and declare is kept, and completes the project again', () => {
  assert.deepEqual(namesDeclaredBy(known), ['more']);
  const { volumes } = withLabelled(written, known);
  assert.deepEqual(
    volumes.map(({ name, criticality }) => [name, criticality]),
    [
      ['data', 'low'],
      ['logs', 'critical'],
      ['more', 'critical'],
    ],
  );
  assert.equal(withLabelled(written, undefined), written);
  assert.equal(withLabelled(written, []), written);
});

test('holdfast.yaml that changes goes before what was known of labels', () => {
  const changed = configurationOf({
    volume: { sizeBytes: 7 },
    volumes: ['data', 'more'],
    objectives: { rpoMs: 1, rtoMs: 2 },
  });
  const { volumes } = withLabelled(changed, known);
  assert.deepEqual(
    volumes.map(({ name, criticality, sizeBytes }) => [name, criticality, sizeBytes]),
    [
      ['data', 'critical', 7],
      ['more', 'critical', 7],
    ],
  );
  const renewed = withLabelled({ ...written, objectives: { rpoMs: 1, rtoMs: 2 } }, known);
  assert.equal(renewed.volumes.at(-1)?.objectives.rpoMs, 1, "the project's, as it is now");
});
