/** What a server of restic's REST protocol means by its status, as errors of the catalogue. */
import { STATUS_CODES } from 'node:http';
import { HoldfastError } from '../model/errors.ts';
import type { RestResponse } from './rest-transport.ts';
import { retryAfterOf } from './retry-after.ts';

/**
 * The error that a response other than 2xx stands for.
 * @param doing what was asked for, as `read` or `list`.
 */
export function failureOf({ status, header }: Pick<RestResponse, 'status' | 'header'>, doing: string, subject: string): HoldfastError {
  const answer = `the server answered ${status}${STATUS_CODES[status] === undefined ? '' : ` ${STATUS_CODES[status]}`}`;
  const message = `cannot ${doing} ${subject}: ${answer}`;
  const details = { file: subject };
  if (status === 404) return new HoldfastError('file-missing', `${subject} is missing`, details);
  if (status === 401) {
    const remedy = 'check user and password: in the URL, or in RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD';
    return new HoldfastError('storage-denied', message, { ...details, remedy });
  }
  if (status === 403) return new HoldfastError('storage-denied', message, details);
  if (status === 507) return new HoldfastError('storage-full', message, details);
  if (status >= 300 && status < 400) return new HoldfastError('storage', `${message}; redirections are not followed`, details);
  const retryAfterMs = status === 429 || status === 503 ? retryAfterOf(header('retry-after')) : undefined;
  return new HoldfastError('storage', message, { ...details, retryAfterMs });
}
