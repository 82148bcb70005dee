/** Random damage to random files of a repository: a check never stumbles, and misses nothing; whatever restic complains of, it does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { HoldfastError } from '../../src/model/errors.ts';
import { requireRestic } from '../peers.ts';
import { fc } from '../properties.ts';
import { makeSmallRepository, type SmallRepository } from './small-repository.ts';

const runs = Number(process.env.HOLDFAST_FUZZ_RUNS ?? 40);
const resticRuns = Number(process.env.HOLDFAST_FUZZ_RUNS ?? 10);

type Change = {
  change: 'flip' | 'truncate' | 'insert' | 'zero' | 'swap' | 'remove';
  kind: string;
  file: number;
  at: number;
  bytes: Uint8Array;
};

const change = fc.record({
  change: fc.constantFrom('flip', 'truncate', 'insert', 'zero', 'swap', 'remove'),
  kind: fc.constantFrom('config', 'keys', 'index', 'snapshots', 'data', 'data', 'data'),
  file: fc.nat(100),
  /** Where, as a share of the file. */
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
}) as fc.Arbitrary<Change>;

/** @returns whether something is different now. */
function apply(repository: SmallRepository, { change, kind, file, at, bytes }: Change): boolean {
  const names = repository.names(kind);
  const name = names[file % names.length];
  if (name === undefined) return false;
  const before = repository.bytes(name);
  const place = Math.floor(at * before.length);
  if (change === 'remove') repository.remove(name);
  else
    repository.damage(name, (content) =>
      changed(content, change, place, Buffer.from(bytes), repository.bytes(names[(file + 1) % names.length] as string)),
    );
  return change === 'remove' || !before.equals(repository.bytes(name));
}

function changed(content: Buffer, change: Change['change'], place: number, bytes: Buffer, other: Buffer): Buffer {
  if (change === 'truncate') return content.subarray(0, place);
  if (change === 'insert') return Buffer.concat([content.subarray(0, place), bytes, content.subarray(place)]);
  if (change === 'swap') return other;
  if (change === 'zero') {
    content.subarray(place, place + 100).fill(0);
    return content;
  }
  content[place] = (content[place] as number) ^ (bytes[0] || 1);
  return content;
}

/** @returns whether the check found something wrong; what it throws must be meant for people. */
async function findsDamage(repository: SmallRepository): Promise<boolean> {
  try {
    return (await repository.check()).exitCode !== 0;
  } catch (error) {
    assert.ok(error instanceof HoldfastError && error.code !== 'internal', `not an error for people: ${(error as Error).stack}`);
    return true;
  }
}

describe('random damage', () => {
  let pristine: SmallRepository;
  const cleanUps: (() => void)[] = [];
  before(async () => {
    pristine = await makeSmallRepository({ after: (cleanUp) => void cleanUps.push(cleanUp as () => void) });
  });
  after(() => {
    for (const cleanUp of cleanUps) cleanUp();
  });

  test('every changed byte is found', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        change.filter((one) => one.change !== 'remove'),
        async (one) => {
          const repository = pristine.copy(t);
          if (!apply(repository, one)) return;
          assert.equal(await findsDamage(repository), true);
        },
      ),
      { numRuns: runs, endOnFailure: true },
    );
  });

  test('whatever restic complains of', async (t) => {
    const restic = requireRestic(t, 'newest');
    if (restic === undefined) return;
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const repository = pristine.copy(t);
        for (const one of changes) apply(repository, one);
        const env = { ...process.env, RESTIC_PASSWORD: 'x' };
        const verdict = spawnSync(restic.path, ['check', '--read-data', '--no-cache', '--no-lock', '-r', repository.folder], {
          env,
          timeout: 60_000,
        });
        const found = await findsDamage(repository);
        if (verdict.status !== 0) assert.equal(found, true, `restic: ${verdict.stdout}${verdict.stderr}`);
      }),
      { numRuns: resticRuns, endOnFailure: true },
    );
  });
});
