/** What S3 means by its errors, as errors of the catalogue. */
import { HoldfastError } from '../model/errors.ts';
import type { RestResponse } from './rest-transport.ts';
import { retryAfterOf } from './retry-after.ts';
import { textOf } from './s3-xml.ts';

/** What a server answered that is no success. The name is S3's code, or empty. */
export class S3Refusal extends Error {
  readonly status: number;
  /** Where the bucket is, if the server says so. */
  readonly bucketRegion: string | undefined;
  /** Milliseconds since 1970. */
  readonly serverTime: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(name: string, message: string, { status, header }: Pick<RestResponse, 'status' | 'header'>) {
    super(message);
    this.name = name;
    this.status = status;
    this.bucketRegion = header('x-amz-bucket-region');
    const serverTime = Date.parse(header('date') ?? '');
    this.serverTime = Number.isNaN(serverTime) ? undefined : serverTime;
    this.retryAfterMs = retryAfterOf(header('retry-after'));
  }
}

/** Of what a server says instead of S3's XML, so much is told. */
const longestMessage = 300;

/** @param text the body of the answer; answers to HEAD have none. */
export function refusalIn(response: RestResponse, text: string): S3Refusal {
  const { code = '', message } = errorIn(text);
  return new S3Refusal(code, message, response);
}

/** S3's code, undefined when the text is about no error, and its message. */
export const errorIn = (text: string): { code: string | undefined; message: string } => ({
  code: textOf(text, 'Code')?.slice(0, longestMessage),
  message: (textOf(text, 'Message') ?? '').slice(0, longestMessage),
});

const full = /^(QuotaExceeded|.*StorageFull|.*QuotaExceeded|InsufficientStorage|InsufficientCapacity)$/;
const denied =
  /^(AccessDenied|AccountProblem|AllAccessDisabled|Expired(Token|TokenException)|Forbidden|Invalid(AccessKeyId|Token|Security)|NotSignedUp|SignatureDoesNotMatch|TokenRefreshRequired|UnauthorizedAccess|CredentialsProviderError|TokenProviderError)$/;
/** Errors of transport in spite of their status 400 or 403: the same request may well succeed. */
const passing =
  /^(BadDigest|IncompleteBody|InvalidDigest|RequestTimeout|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|RequestTimeTooSkewed|OperationAborted|ConditionalRequestConflict|NoSuchUpload|InvalidPart)$/;
/** Statuses between 400 and 499 that ask for another try. */
const passingStatus = [408, 409, 412, 425, 429];

/**
 * The error of the catalogue for what a request to S3, or the search for credentials, has thrown. `storage` is worth another try, the other codes are not.
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
  const retryAfterMs = error instanceof S3Refusal ? error.retryAfterMs : undefined;
  return new HoldfastError('storage', message, { ...details, cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Name and status that the server gave, and both with its message in words. */
export function detailsOf(error: unknown): { name: string; status: number | undefined; reason: string } {
  const { name, message, code } = error as Error & { code?: unknown };
  const status = error instanceof S3Refusal ? error.status : undefined;
  // HEAD requests have no body to explain themselves with.
  const said = status !== undefined && message === '' ? `HTTP ${status}` : message;
  const known = typeof code === 'string' && !said.includes(code) ? code : /^(Error|AggregateError|TypeError)$/.test(name) ? '' : name;
  return { name, status, reason: [known, said].filter((text) => text !== '').join(': ') };
}
