import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noiseFrom, randomFrom } from '../random.ts';
import { ageFiles, kibibyte, listFiles, mebibyte, overwrite, writeStreaming } from './files.ts';

const totalBytes = 1024 * mebibyte;
const fileCount = 48;

/** Recordings: 48 files whose sizes are spread evenly on a logarithmic scale from 1 to 100 or so MiB, incompressible. */
export function generateMedia(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/media/sizes`);
  const weights = Array.from({ length: fileCount }, () => 100 ** random.fraction());
  const sum = weights.reduce((total, weight) => total + weight, 0);
  for (const [number, weight] of weights.entries()) {
    const folder = join(root, `album-${String(number % 6).padStart(2, '0')}`);
    mkdirSync(folder, { recursive: true });
    const sizeBytes = Math.round(((totalBytes * scale) / sum) * weight);
    writeStreaming(join(folder, `take-${String(number).padStart(3, '0')}.mkv`), sizeBytes, noiseFrom(`${seed}/media/${number}`));
  }
  ageFiles(root, `${seed}/media`);
}

/**
 * What happens to 1% of a media library: a new recording, one continued, tags rewritten in place and with another
 * length, two renamed, one deleted.
 */
export function churnMedia(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/media/churn`);
  const noise = noiseFrom(`${seed}/media/churn`);
  const sizeOf = (path: string): number => statSync(join(root, path)).size;
  // Shuffled, then the smaller half first: the edits below then touch files that are small against the whole.
  const shuffled = listFiles(root)
    .files.map((path) => ({ path, order: random.uint32() }))
    .sort((a, b) => a.order - b.order)
    .map(({ path }) => path);
  const bySize = shuffled.toSorted((a, b) => sizeOf(a) - sizeOf(b));
  const [deleted, continued, retagged] = bySize as [string, string, string];
  const others = shuffled.filter((path) => ![deleted, continued, retagged].includes(path));

  rmSync(join(root, deleted));
  appendFileSync(join(root, continued), noise(Math.round(3 * mebibyte * scale)));
  const body = readFileSync(join(root, retagged)).subarray(4 * kibibyte);
  writeFileSync(join(root, retagged), Buffer.concat([noise(5 * kibibyte + 123), body]));
  for (const path of others.slice(0, 4)) overwrite(join(root, path), 0, noise(2 * kibibyte));
  for (const path of others.slice(4, 6)) renameSync(join(root, path), join(root, `${path}.renamed.mkv`));
  writeStreaming(join(root, 'album-00', 'new.mkv'), Math.round(5 * mebibyte * scale), noise);
}
