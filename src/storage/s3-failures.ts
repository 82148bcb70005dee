/** What S3 means by its errors, as errors of the catalogue. */
import { HoldfastError } from '../model/errors.ts';
import { retryAfterOf } from './retry-after.ts';

/** What the SDK's errors have in common; each part may be missing. */
type ServiceError = Error & {
  code?: unknown;
  $metadata?: { httpStatusCode?: number };
  $response?: { headers?: Record<string, string | undefined> };
};

const full = /^(QuotaExceeded|.*StorageFull|.*QuotaExceeded|InsufficientStorage|InsufficientCapacity)$/;
const denied =
  /^(AccessDenied|AccountProblem|AllAccessDisabled|Expired(Token|TokenException)|Forbidden|Invalid(AccessKeyId|Token|Security)|NotSignedUp|SignatureDoesNotMatch|TokenRefreshRequired|UnauthorizedAccess|CredentialsProviderError|TokenProviderError)$/;
/** Errors of transport in spite of their status 400 or 403: the same request may well succeed. */
const passing =
  /^(BadDigest|IncompleteBody|InvalidDigest|RequestTimeout|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|RequestTimeTooSkewed|OperationAborted|ConditionalRequestConflict|NoSuchUpload|InvalidPart)$/;
/** Statuses between 400 and 499 that ask for another try. */
const passingStatus = [408, 409, 412, 425, 429];

/**
 * The error of the catalogue for what a request to S3 has thrown. `storage` is worth another try, the other codes are not.
 * @param doing what was asked for, as `read` or `list`.
 */
export function failureOf(error: unknown, doing: string, subject: string): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { name, status, reason } = detailsOf(error);
  const message = `cannot ${doing} ${subject}: ${reason}`;
  const details = { file: subject };
  if (name === 'InvalidObjectState') {
    const remedy = 'restore the object from its archive class with the tools of the storage, then run again';
    return new HoldfastError('unsupported', `${message}; it is archived`, { ...details, remedy });
  }
  if (status === 507 || full.test(name)) return new HoldfastError('storage-full', message, details);
  if (status === 416 || name === 'InvalidRange') return new HoldfastError('damaged', `${subject} is too short`, details);
  if (passing.test(name)) return new HoldfastError('storage', message, details);
  if (/^(CredentialsProviderError|TokenProviderError)$/.test(name)) {
    const remedy = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile; see docs/configuration.md';
    return new HoldfastError('storage-denied', message, { ...details, remedy });
  }
  if (status === 401 || status === 403 || denied.test(name)) return new HoldfastError('storage-denied', message, details);
  if (
    status === 301 ||
    status === 307 ||
    /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/.test(name)
  ) {
    const remedy = 'name the region of the bucket: ?region=REGION';
    return new HoldfastError('usage', `${message}; the bucket is in another region`, { ...details, remedy });
  }
  if (status === 404)
    return new HoldfastError('file-missing', `${subject} is missing${name === 'NoSuchBucket' ? ': there is no such bucket' : ''}`, details);
  // A request that the server understands and will not carry out, whenever it is made.
  if (status !== undefined && (status === 501 || (status >= 400 && status < 500 && !passingStatus.includes(status))))
    return new HoldfastError('unsupported', message, details);
  const retryAfterMs = retryAfterOf((error as ServiceError).$response?.headers?.['retry-after']);
  return new HoldfastError('storage', message, { ...details, cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Name and status that the server gave, and both with its message in words. */
export function detailsOf(error: unknown): { name: string; status: number | undefined; reason: string } {
  const { name, message, code, $metadata } = error as ServiceError;
  const status = $metadata?.httpStatusCode;
  // HEAD requests have no body to explain themselves with.
  const said = status !== undefined && /^(|Unknown|UnknownError)$/.test(message) ? `HTTP ${status}` : message;
  const known =
    typeof code === 'string' && !said.includes(code) ? code : /^(Error|AggregateError|TypeError|Unknown.*)$/.test(name) ? '' : name;
  return { name, status, reason: [known, said].filter((text) => text !== '' && text !== undefined).join(': ') };
}
