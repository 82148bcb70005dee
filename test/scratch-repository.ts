/** An empty repository in a scratch folder, cheap to open. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createRepository, type Repository } from '../src/repository/repository.ts';
import { createLocalStorage } from '../src/storage/local.ts';
import { scratch } from './peers.ts';

export const scratchPassword = Buffer.from('x');

export const scratchOptions = {
  password: scratchPassword,
  cost: { N: 2, r: 8, p: 1 },
  chunkerPolynomial: 0x3da3358b4dc173n,
  owner: { username: 'someone', hostname: 'somewhere' },
  now: new Date('2024-01-01T00:00:00Z'),
};

export async function scratchRepository(t: Pick<TestContext, 'after'>, formatVersion: 1 | 2 = 2): Promise<Repository & { folder: string }> {
  const folder = join(scratch(t), 'repository');
  return { ...(await createRepository(createLocalStorage(folder), { ...scratchOptions, formatVersion })), folder };
}
