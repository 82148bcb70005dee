/** A small file that says how far something has come: durable before the next step is taken, and never half there. */
import { randomBytes } from 'node:crypto';
import { constants, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';

const fileMode = 0o600;

/** Replaces the file, durably. Its folder must be there. @throws `target-unwritable`. */
export async function writeJournal(file: string, value: object): Promise<void> {
  await replaceFile(file, `${JSON.stringify(value, null, 2)}\n`, { mode: fileMode });
}

/** Undefined when there is none. @throws `target-unwritable` for one that cannot be read or makes no sense. */
export async function readJournal<Value extends object>(file: string): Promise<Value | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Value;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new HoldfastError('target-unwritable', `the journal ${file} cannot be read: ${(cause as Error).message}`, {
      file,
      cause,
      remedy: 'look at it: it says what was left half done; without it, that is undone by hand',
    });
  }
}

/** Durably. Harmless when there is none. */
export async function removeJournal(file: string): Promise<void> {
  await rm(file, { force: true });
  await syncFolder(dirname(file));
}

/** Writes a file in the place of another one, or of none: at any instant the one or the other is there completely. @throws `target-unwritable`. */
export async function replaceFile(
  file: string,
  content: string | Buffer,
  { mode, owner }: { mode: number; owner?: { uid: number; gid: number } },
): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new HoldfastError('target-unwritable', `cannot write ${file}: ${(cause as Error).message}`, { file, cause });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
