import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseConfiguration } from '../control/configuration/parse.ts';
import { uncoveredFact } from '../control/discovery/uncovered.ts';
import { composeLook } from './watch-compose.ts';

test('volumes that come to the compose file are told of once, and those that go or are named are no fact any more', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-compose-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const configurationOf = (names: string) => parseConfiguration(`project: shop\nvolumes: { ${names} }\n`, join(folder, 'holdfast.yaml'));
  let configuration = configurationOf('data:');
  const facts = new Map<string, unknown>();
  let [written, told, isFull]: [number, string[], boolean] = [0, [], false];
  const look = composeLook({
    daemon: {
      configuration: () => configuration,
      facts: {
        get: <Value>(name: string) => facts.get(name) as Value | undefined,
        set: (name, value) => {
          if (isFull) throw new Error('the disk is full');
          written++;
          facts.set(name, value);
        },
        remove: (name) => void facts.delete(name),
      },
    },
    environment: {},
    onChange: (message) => told.push(message),
  });
  const compose = (name: string, volumes: string) => writeFileSync(join(folder, name), `volumes: { ${volumes} }\n`);
  await look();
  assert.deepEqual([written, told], [0, []], 'no compose file, no fact');
  compose('compose.yaml', 'data:');
  await look();
  compose('compose.yaml', 'data:, extra:');
  isFull = true;
  await assert.rejects(look());
  isFull = false;
  await look();
  await look();
  assert.deepEqual(facts.get(uncoveredFact), { file: 'compose.yaml', volumes: ['extra'] });
  assert.deepEqual(told, ['compose.yaml has volumes that holdfast.yaml does not name, and no backup holds them: extra']);
  compose('compose.override.yaml', 'more:');
  await look();
  assert.match(told[1] ?? '', /: more$/);
  // As it is being written.
  writeFileSync(join(folder, 'compose.yaml'), 'volumes: { data:');
  await look();
  assert.deepEqual(facts.get(uncoveredFact), { file: 'compose.yaml', volumes: ['extra', 'more'] });
  compose('compose.yaml', 'data:, extra:');
  configuration = configurationOf('data:, extra:');
  await look();
  assert.deepEqual(facts.get(uncoveredFact), { file: 'compose.yaml', volumes: ['more'] });
  rmSync(join(folder, 'compose.yaml'));
  await look();
  assert.deepEqual(facts.get(uncoveredFact), { file: '', volumes: [] });
  assert.equal(told.length, 2);
});
