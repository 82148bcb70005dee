import { constants, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoldfastError } from '../model/errors.ts';

/** Writes a file, durably, and never replaces one. Folders on the way are made. @throws `target-unwritable`. */
export async function writeNewFile(path: string, text: string, mode: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeAndSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode, text);
    await writeAndSync(dirname(path), constants.O_RDONLY, 0, undefined);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = code === 'EEXIST' ? `there is a ${path} already` : `cannot write ${path}: ${message}`;
    throw new HoldfastError('target-unwritable', what, { file: path, cause });
  }
}

async function writeAndSync(path: string, flags: number, mode: number, text: string | undefined): Promise<void> {
  const handle = await open(path, flags, mode);
  try {
    if (text !== undefined) await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
