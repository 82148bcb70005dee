/** A state whose disk is full for a while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { snapshotOf } from '../../../test/control/plane.ts';
import { createEvidenceTable } from './evidence-table.ts';
import { createFacts, type Facts } from './log-tables.ts';
import { openState } from './state.ts';
import { steadyFacts } from './steady-facts.ts';

test('facts and evidence that the state cannot take count all the same, and are written when it can', (t) => {
  const state = openState(':memory:');
  t.after(() => state.close());
  let isFull = false;
  const failures: unknown[] = [];
  const fails = <Arguments extends unknown[], Result>(work: (...args: Arguments) => Result) => {
    return (...args: Arguments): Result => {
      if (isFull) throw new Error('database or disk is full');
      return work(...args);
    };
  };
  const raw = createFacts(state);
  const facts = steadyFacts({ ...raw, set: fails(raw.set), remove: fails(raw.remove) } as Facts, (error) => failures.push(error));
  const transaction: typeof state.transaction = (work) => fails(() => state.transaction(work))();
  const evidence = createEvidenceTable({ ...state, transaction }, (error) => failures.push(error));
  facts.set('stays', 1);
  facts.set('goes', 1);
  evidence.add([snapshotOf('data', 1, 'old')]);
  isFull = true;
  facts.set('new', 2);
  facts.remove('goes');
  evidence.add([snapshotOf('data', 2, 'fresh')]);
  evidence.remove('local', ['old']);
  const known = () => ({
    facts: ['stays', 'goes', 'new'].map((name) => facts.get(name)),
    evidence: evidence.list().map(({ id }) => id),
  });
  const expected = { facts: [1, undefined, 2], evidence: ['fresh'] };
  assert.deepEqual(known(), expected);
  assert.equal(failures.length, 4);
  assert.equal(raw.get('goes'), 1);
  isFull = false;
  facts.set('last', 3);
  evidence.add([snapshotOf('data', 3, 'last')]);
  assert.deepEqual(known(), { ...expected, evidence: ['fresh', 'last'] });
  assert.deepEqual([raw.get('goes'), raw.get('new')], [undefined, 2]);
  const written = createEvidenceTable(state).list();
  assert.deepEqual(
    written.map(({ id }) => id),
    ['fresh', 'last'],
  );
});
