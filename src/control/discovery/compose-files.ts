/** Where a compose project's files are, without what reads them: most folders have none. */
import { access } from 'node:fs/promises';
import { resolve } from 'node:path';

/** In the order in which Compose looks for them. */
export const composeFileNames: readonly string[] = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** What is read over the first of them that is there. */
export const overrideFileNames: readonly string[] = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

/** Whether there is a compose file in a folder, readable or not. */
export async function hasComposeFile(folder: string): Promise<boolean> {
  for (const name of composeFileNames) {
    const missing = await access(resolve(folder, name)).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
    if (!missing) return true;
  }
  return false;
}
