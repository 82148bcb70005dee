import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** Names of the file, the first one preferred. */
const configurationFileNames = ['holdfast.yaml', 'holdfast.yml'];

/**
 * The absolute path of the `holdfast.yaml` that holds for a folder: its own, else that of the nearest parent, as git and
 * Compose look for theirs. Undefined when there is none up to the root of the file system.
 */
export async function findConfiguration(fromDirectory: string): Promise<string | undefined> {
  for (let directory = resolve(fromDirectory); ; directory = dirname(directory)) {
    for (const name of configurationFileNames) {
      const file = join(directory, name);
      const found = await stat(file).catch(() => undefined);
      if (found?.isFile() === true) return file;
    }
    if (dirname(directory) === directory) return undefined;
  }
}
