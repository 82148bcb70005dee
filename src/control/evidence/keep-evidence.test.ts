import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { createEvidenceTable, type SnapshotEvidence } from '../state/evidence-table.ts';
import type { Facts } from '../state/log-tables.ts';
import { openState } from '../state/state.ts';
import { createEvidenceKeeper } from './keep-evidence.ts';

const minuteMs = 60_000;

function keeperOf(repositories: string[], list: (repository: string) => AsyncIterable<string>) {
  const facts = new Map<string, unknown>();
  const evidence = createEvidenceTable(openState(':memory:'));
  const looks: string[] = [];
  const time = { nowMs: 1_000_000_000 };
  const keeper = createEvidenceKeeper({
    evidence,
    facts: {
      get: <Value>(name: string) => facts.get(name) as Value | undefined,
      set: (name: string, value: unknown) => void facts.set(name, value),
      remove: (name: string) => void facts.delete(name),
    } as Facts,
    list: (repository) => {
      looks.push(repository);
      return list(repository);
    },
    configuration: () => ({ project: 'shop', repositories: repositories.map((name) => ({ name })) }) as unknown as Configuration,
    now: () => time.nowMs,
    onChange: () => undefined,
    onFailure: (error) => assert.fail(String(error)),
  });
  return { keeper, evidence, facts, looks, time };
}

async function* there() {
  yield '{"present":[]}';
}

// biome-ignore lint/correctness/useYield: it fails before
async function* away(): AsyncGenerator<string> {
  throw new HoldfastError('no-repository', 'there is none');
}

test('a repository that could not be reached is looked at again after a minute, then less and less often; when it is back, as the others', async () => {
  let list: () => AsyncIterable<string> = away;
  const { keeper, facts, looks, time } = keeperOf(['local'], () => list());
  const lookedAfter = async (ms: number) => {
    time.nowMs += ms;
    return keeper.refreshUnseen();
  };
  assert.equal(await lookedAfter(0), true);
  assert.equal(await lookedAfter(minuteMs / 2), false);
  assert.equal(await lookedAfter(minuteMs / 2), true);
  assert.equal(await lookedAfter(9 * minuteMs), true);
  assert.equal(await lookedAfter(4 * minuteMs), false);
  list = there;
  assert.equal(await lookedAfter(minuteMs), true);
  assert.equal(facts.has('unseen local'), false);
  assert.equal(await lookedAfter(60 * minuteMs), false);
  assert.equal(looks.length, 4);
});

test('one repository that does not answer keeps no other from being looked into', async () => {
  const answer = Promise.withResolvers<void>();
  async function* late() {
    await answer.promise;
    yield '{"present":[]}';
  }
  const { keeper, facts } = keeperOf(['far', 'local'], (repository) => (repository === 'far' ? late() : there()));
  const all = keeper.refreshAll();
  while (!facts.has('seen local')) await new Promise(setImmediate);
  assert.equal(facts.has('seen far'), false);
  answer.resolve();
  await all;
  assert.equal(facts.has('seen far'), true);
});

test('what a repository holds counts no more when it has left the configuration', async () => {
  const repositories = ['local', 'far'];
  const { keeper, evidence, facts } = keeperOf(repositories, async function* () {
    yield '{"present":["a"]}';
  });
  for (const repository of repositories)
    evidence.add([{ repository, id: 'a', project: 'shop', volume: 'data', run: 'r', timeMs: 1 } as SnapshotEvidence]);
  await keeper.refreshAll();
  assert.equal(evidence.list('data').length, 2);
  repositories.pop();
  assert.equal(await keeper.refreshUnseen(), true);
  assert.deepEqual(
    evidence.list('data').map(({ repository }) => repository),
    ['local'],
  );
  assert.deepEqual([facts.has('seen local'), facts.has('seen far')], [true, false]);
  assert.equal(await keeper.refreshUnseen(), false);
});
