import type { ErrorCode, ErrorDocument } from '../../model/errors.ts';
import type { JobKind } from '../jobs/job.ts';
import { formatAge } from './rpo.ts';
import { remedyOf } from './unseen.ts';

/**
 * What the last job that failed said of its storage, while the snapshots can be listed: the fact `trouble REPOSITORY`. A disk that is full, or
 * credentials that may only read, are found by those that write. Since `sinceMs`, `atMs` last, in milliseconds since 1970.
 */
export type Trouble = { atMs: number; sinceMs: number; kind: JobKind; code: ErrorCode; message: string; remedy: string };

export const troubleFact = (repository: string): string => `trouble ${repository}`;

const ofStorages: ReadonlySet<ErrorCode> = new Set([
  'storage',
  'storage-denied',
  'storage-full',
  'no-repository',
  'wrong-password',
  'password-missing',
]);

/** Whether an error says something of where a repository is kept, and nothing of volumes or of what is stored. */
export const isOfStorage = ({ code }: Pick<ErrorDocument, 'code'>): boolean => ofStorages.has(code);

/** What listing snapshots can do although it lasts. */
const onlyWriting: ReadonlySet<ErrorCode> = new Set(['storage-full', 'storage-denied']);

/** Whether a look that fails tells of it better, and one that succeeds afterwards ends it. */
export const isSeenByLooking = ({ code }: Trouble): boolean => !onlyWriting.has(code);

/** Whether a job of a kind that has succeeded proves that it is over. */
export function isSettledBy({ kind, code }: Trouble, done: JobKind): boolean {
  if (done === kind || code === 'storage-denied') return done === kind;
  return code !== 'storage-full' || done === 'backup' || done === 'copy';
}

/** What is said of it. */
export function tellTrouble(repository: string, { kind, code, message, remedy, atMs }: Trouble, nowMs: number) {
  const when = `${formatAge(Math.max(0, nowMs - atMs))} ago`;
  if (code !== 'storage-full')
    return { message: `the last ${kind} failed ${when}: ${message}`, remedy: remedyOf(repository, code, remedy, true) };
  return {
    message: `it is full, the last ${kind} failed ${when}: ${message}`,
    remedy: `make room there; \`holdfast prune --max-repack-size 0 --repository ${repository}\` needs next to none; docs/operations.md, "A full disk", has more`,
  };
}
