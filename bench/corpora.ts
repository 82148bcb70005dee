import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { churnDatabases, generateDatabases } from './corpora/databases.ts';
import { churnMedia, generateMedia } from './corpora/media.ts';
import { churnSources, generateSources } from './corpora/sources.ts';

export const corpusNames = ['sources', 'databases', 'media'] as const;
export type CorpusName = (typeof corpusNames)[number];

/** Which data: the same `seed`, `scale` (1 is the size that figures are published for) and checkout give the same bytes. */
export type CorpusChoice = { name: CorpusName; seed: string; scale: number; checkout: string };

/** Change it when a generator changes, so that no cached corpus of the old kind is used. */
const generation = 1;

/** Makes the corpus in the folder `cache`, unless it is there. Returns its root, which nobody may change. */
export function pristineCorpus(cache: string, choice: CorpusChoice): string {
  const family = `${choice.name}-x${choice.scale}-`;
  const root = join(cache, `${family}${fingerprint(choice)}`);
  if (existsSync(root)) return root;
  removeOutdated(cache, family);
  const unfinished = `${root}.unfinished`;
  mkdirSync(unfinished, { recursive: true });
  generate(unfinished, choice);
  renameSync(unfinished, root);
  return root;
}

/** Brings a copy of the corpus into its second state, in which 1% has changed. */
export function churnCorpus(root: string, choice: CorpusChoice): void {
  if (choice.name === 'sources') churnSources(root, choice.seed, choice.scale);
  else if (choice.name === 'databases') churnDatabases(root, choice.seed, choice.scale);
  else churnMedia(root, choice.seed, choice.scale);
}

/** Corpora of the same name and size that other seeds, generators or packages made: each takes up to a gigabyte. */
function removeOutdated(cache: string, family: string): void {
  if (!existsSync(cache)) return;
  for (const entry of readdirSync(cache)) {
    if (entry.startsWith(family)) rmSync(join(cache, entry), { recursive: true });
  }
}

function generate(root: string, choice: CorpusChoice): void {
  if (choice.name === 'sources') generateSources(root, choice.seed, choice.scale, join(choice.checkout, 'node_modules'));
  else if (choice.name === 'databases') generateDatabases(root, choice.seed, choice.scale);
  else generateMedia(root, choice.seed, choice.scale);
}

function fingerprint(choice: CorpusChoice): string {
  const facts: unknown[] = [generation, choice.name, choice.seed, choice.scale];
  // The sources are made of the installed packages, which the lock file determines.
  if (choice.name === 'sources') facts.push(readFileSync(join(choice.checkout, 'package-lock.json'), 'utf8'));
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}
