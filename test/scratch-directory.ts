/** A scratch folder that is open, for calls that take a descriptor. */
import type { TestContext } from 'node:test';
import { close, openDirectoryRoot } from '../src/engine/source/posix-open.ts';
import { rawFromText } from '../src/model/raw-bytes.ts';
import { scratch } from './peers.ts';

/** @param folder default one that goes away with the test. The descriptor is closed with it. */
export function openScratch(t: Pick<TestContext, 'after'>, folder: string = scratch(t)): { folder: string; root: number } {
  const root = openDirectoryRoot(rawFromText(folder));
  t.after(() => close(root));
  return { folder, root };
}
