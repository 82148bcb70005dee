/** A storage that fails or refuses says nothing of what it holds: a check calls nothing damaged that it could not read. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type CheckOptions, type CheckResult, checkRepository } from '../../src/engine/maintenance/check.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { makeSmallRepository, packPath, type SmallRepository } from './small-repository.ts';
import { type Fault, injectFault, withFaults } from './with-faults.ts';

const faultyLane = new URL('./faulty-lane.ts', import.meta.url);

async function checkFaulty(small: SmallRepository, fault: Fault | undefined, options: Partial<CheckOptions> = {}) {
  const repository = await small.open();
  const log = injectFault(fault);
  const result = await checkRepository({
    repository: { ...repository, storage: withFaults(createLocalStorage(small.folder), small.folder) },
    address: { url: small.folder },
    laneEntry: faultyLane,
    lanes: 1,
    readData: { select: 'all' },
    report: () => undefined,
    signal: new AbortController().signal,
    ...options,
  });
  injectFault(undefined);
  return { result, log };
}

/** Kinds of the errors found. */
const kindsOf = ({ findings }: CheckResult): string[] => [
  ...new Set(findings.filter(({ severity }) => severity === 'error').map(({ kind }) => kind)),
];

test('every read of a check is refused in turn, once and from then on: all that is found is unreadable', async (t) => {
  const small = await makeSmallRepository(t);
  const { result, log } = await checkFaulty(small, undefined);
  assert.deepEqual(kindsOf(result), []);
  const reads = [...log.counts()].filter(([operation]) => operation.startsWith('read '));
  assert.deepEqual(reads.map(([operation]) => operation).sort(), ['read config', 'read data', 'read index', 'read keys', 'read snapshots']);
  let struck = 0;
  for (const [operation, count] of reads) {
    for (let nth = 0; nth < count; nth++) {
      for (const lasting of [false, true]) {
        const code: ErrorCode = struck % 3 === 0 ? 'storage' : 'storage-denied';
        const { result: found } = await checkFaulty(small, { operation, nth, when: 'before', code, lasting });
        const what = `${operation}, number ${nth}${lasting ? ' and all after it' : ''}: ${code}`;
        assert.deepEqual(kindsOf(found), ['unreadable'], what);
        assert.equal(found.exitCode, 1, what);
        for (const { message, severity } of found.findings)
          assert.match(
            message,
            severity === 'note' ? /in no index file that could be read$/ : /injected|an index file that could not be read/,
            what,
          );
        struck++;
      }
    }
  }
  t.diagnostic(`reads of a check refused: ${struck}`);
});

test('what is damaged for certain stays damaged when its other copy is refused, which is told too', async (t) => {
  const small = await makeSmallRepository(t);
  const copyId = 'ab'.repeat(32);
  const pack = await small.packOf('tree');
  await small.rewriteIndex(({ packs }) => {
    const copied = packs.find(({ id }) => packPath(id) === pack);
    if (copied) packs.push({ ...copied, id: copyId });
  });
  mkdirSync(dirname(join(small.folder, packPath(copyId))), { recursive: true });
  copyFileSync(join(small.folder, pack), join(small.folder, packPath(copyId)));
  const structure = { readData: undefined };
  assert.deepEqual(kindsOf((await checkFaulty(small, undefined, structure)).result), [], 'two copies');
  for (const name of [pack, packPath(copyId)]) small.damage(name, (bytes) => bytes.fill(0));
  // Which read is the first of these packs depends on their names.
  const told: string[][] = [];
  for (const nth of [1, 2]) {
    const lasting: Fault = { operation: 'read data', nth, when: 'before', code: 'storage-denied', lasting: true };
    told.push(kindsOf((await checkFaulty(small, lasting, structure)).result));
  }
  assert.ok(
    told.some((kinds) => kinds.includes('blob-damaged') && kinds.includes('unreadable')),
    JSON.stringify(told),
  );
});
