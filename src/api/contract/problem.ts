import * as z from 'zod/mini';
import { catalogue, type ErrorCode, exitCodes } from '../../model/errors.ts';

/** Where an error's HTTP status is not what its exit code suggests. */
const statuses: Partial<Record<ErrorCode, number>> = {
  usage: 400,
  configuration: 409,
  'configuration-missing': 409,
  'unknown-volume': 404,
  'request-invalid': 400,
  'request-conflict': 422,
  'request-too-large': 413,
  'too-many-requests': 429,
  'not-authenticated': 401,
  'not-permitted': 403,
  'resource-missing': 404,
  'snapshot-missing': 404,
  'snapshot-ambiguous': 409,
  'path-missing': 404,
  locked: 409,
  storage: 502,
  'storage-denied': 502,
  'engine-unreachable': 502,
  'engine-denied': 502,
  'storage-full': 507,
  deadline: 504,
  interrupted: 503,
};

/** The HTTP status of an error of the catalogue. */
export const statusOf = (code: ErrorCode): number => statuses[code] ?? (catalogue[code].exit === exitCodes.usage ? 409 : 500);

/** RFC 9457, with the members of Holdfast's errors. `type` is of no meaning beyond `code`. */
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(catalogue) as [ErrorCode, ...ErrorCode[]]),
  remedy: z.string(),
  volume: z.optional(z.string()),
  file: z.optional(z.string()),
});
export type Problem = z.infer<typeof problem>;
