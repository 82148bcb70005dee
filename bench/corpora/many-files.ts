import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noiseFrom } from '../random.ts';

const filesInDirectory = 1000;

/** `count` files of `sizeBytes` each, every one different (so that a repository holds as many blobs), 1000 to a directory. */
export function generateManyFiles(root: string, seed: string, count: number, sizeBytes: number): void {
  const noise = noiseFrom(`${seed}/many-files/${sizeBytes}`);
  for (let number = 0; number < count; number++) {
    const directory = join(root, String(Math.floor(number / filesInDirectory)).padStart(5, '0'));
    if (number % filesInDirectory === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${String(number % filesInDirectory).padStart(4, '0')}`), noise(sizeBytes));
  }
}
