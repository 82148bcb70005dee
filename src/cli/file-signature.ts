import { stat } from 'node:fs/promises';

/** What changes when a file is written or replaced; of one that is not there: nothing. */
export async function fileSignature(file: string): Promise<string> {
  const { ino, size, mtimeNs } = (await stat(file, { bigint: true }).catch(() => undefined)) ?? {};
  return `${ino} ${size} ${mtimeNs}`;
}
