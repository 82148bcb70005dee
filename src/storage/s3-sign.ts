/**
 * Signs requests with Signature Version 4.
 * Source: AWS, "Create a signed AWS API request" and "Authenticating Requests: Using the Authorization Header" (S3 API reference).
 */
import { createHash, createHmac } from 'node:crypto';

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined };

export type Signing = { credentials: Credentials; region: string; now: Date };

export type Signable = {
  method: string;
  /** Of the URL, with the port if it has one. */
  host: string;
  /** As it is sent, escaped. */
  path: string;
  query: Readonly<Record<string, string>>;
  headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body, hexadecimal. */
  bodyHash: string;
};

const algorithm = 'AWS4-HMAC-SHA256';

/** As RFC 3986 wants it; `encodeURIComponent` leaves five characters more. */
export const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** In the order in which it is signed, and sent as well. */
export const queryOf = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query)
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .sort()
    .join('&');

/** @returns the headers with those that the signature adds; all of them are signed, and so is the host. */
export function signed(request: Signable, { credentials, region, now }: Signing): Record<string, string> {
  const { method, host, path, query, bodyHash } = request;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const date = time.slice(0, 8);
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  };
  const names = [...Object.keys(headers), 'host'].sort();
  const lines = names.map((name) => `${name}:${(name === 'host' ? host : (headers[name] as string)).trim().replace(/ +/g, ' ')}\n`);
  const signedNames = names.join(';');
  const canonical = [method, path, queryOf(query), lines.join(''), signedNames, bodyHash].join('\n');
  const scope = `${date}/${region}/s3/aws4_request`;
  const toSign = [algorithm, time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [date, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  return {
    ...headers,
    authorization: `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`,
  };
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
