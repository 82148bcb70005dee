import { HoldfastError } from '../../model/errors.ts';
import { formatAge } from './rpo.ts';

/** That the snapshots of a repository could not be listed: the fact `unseen REPOSITORY`. Since `sinceMs`, `atMs` last. */
export type Unseen = { atMs: number; sinceMs: number; message: string; code?: string; remedy?: string };

export function unseenOf(error: unknown, atMs: number, sinceMs: number): Unseen {
  if (error instanceof HoldfastError) return { atMs, sinceMs, message: error.message, code: error.code, remedy: error.remedy };
  return { atMs, sinceMs, message: error instanceof Error ? error.message : String(error) };
}

/** What is said of it. @param seenAtMs when they were listed last. */
export function tellUnseen(
  repository: string,
  { message, code, remedy }: Omit<Unseen, 'sinceMs'>,
  seenAtMs: number | undefined,
  nowMs: number,
) {
  const since = seenAtMs === undefined ? 'it was never reached' : `it was last reached ${formatAge(nowMs - seenAtMs)} ago`;
  return { message: `${since}: ${message}`, remedy: remedyOf(repository, code, remedy, seenAtMs !== undefined) };
}

/** Others say no more than that it is to be tried again: the command shows all that is known. */
const telling = new Set(['wrong-password', 'password-missing', 'storage-denied']);

/** @param wasThere whether its snapshots were ever listed. */
export function remedyOf(repository: string, code: string | undefined, remedy: string | undefined, wasThere: boolean): string {
  // A new one on an empty mount point would hide the old one, and what is lost with it.
  if (code === 'no-repository')
    return wasThere
      ? 'see that its disk is mounted, and that the URL is right: it was there before'
      : `holdfast init --repository ${repository}`;
  return code !== undefined && telling.has(code) && remedy !== undefined ? remedy : `holdfast snapshots --repository ${repository}`;
}
