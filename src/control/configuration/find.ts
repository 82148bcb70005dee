import type { Stats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';

/** Names of the file, the first one preferred. */
const configurationFileNames = ['holdfast.yaml', 'holdfast.yml'];

/**
 * The absolute path of the `holdfast.yaml` that holds for a folder: its own, else that of the nearest parent, as git and
 * Compose look for theirs. Undefined when there is none up to the root of the file system.
 *
 * The file names commands that are run. So one that another user has put above the folder, or where everybody may put one, is refused (as git
 * does, https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory). @throws `configuration`.
 */
export async function findConfiguration(fromDirectory: string): Promise<string | undefined> {
  const from = resolve(fromDirectory);
  for (let directory = from; ; directory = dirname(directory)) {
    for (const name of configurationFileNames) {
      const file = join(directory, name);
      const found = await stat(file).catch(() => undefined);
      if (found?.isFile() !== true) continue;
      if ((await belongsToOther(file)) && (directory !== from || isForAll(await stat(directory))))
        throw new HoldfastError('configuration', `${file} belongs to another user, who could have commands run as you`, {
          file,
          remedy: 'if you trust it, name it with --config',
        });
      return file;
    }
    if (dirname(directory) === directory) return undefined;
  }
}

/** Whether the file, or the link to it, is neither root's nor this user's, nor with `sudo` that of who has called it. */
export async function belongsToOther(file: string): Promise<boolean> {
  const own = process.geteuid?.();
  const isOwn = ({ uid }: Stats) => own === undefined || uid === 0 || uid === own || (own === 0 && String(uid) === process.env.SUDO_UID);
  return !isOwn(await stat(file)) || !isOwn(await lstat(file));
}

const writableByOthers = 0o002;
const isForAll = ({ mode }: Stats): boolean => (mode & writableByOthers) !== 0;
