/** What an S3 storage is opened by: the forms of its URL and its options, checked. */
import { HoldfastError } from '../model/errors.ts';
import { parseDuration } from '../model/quantities.ts';
import type { StorageAddress } from './storage.ts';

export type S3Settings = {
  bucket: string;
  /** Without slashes at its ends; empty for the bucket's root. */
  prefix: string;
  /** `https://host[:port]`; undefined for AWS, where the region decides. */
  endpoint: string | undefined;
  /** Undefined leaves it to the AWS configuration: AWS_REGION, profile, AWS_DEFAULT_REGION, else us-east-1. */
  region: string | undefined;
  /** The bucket in the path, not in the host's name. */
  pathStyle: boolean;
  storageClass: string | undefined;
  objectLock: { mode: 'COMPLIANCE' | 'GOVERNANCE'; retainDays: number } | undefined;
  serverSideEncryption: { algorithm: 'AES256' | 'aws:kms'; kmsKeyId: string | undefined } | undefined;
  /** Section of the AWS configuration that credentials and region come from. */
  profile: string | undefined;
  /** Unsigned requests, for public buckets. */
  anonymous: boolean;
  /** Requests at the same time, for each thread. */
  connections: number;
  connectTimeoutMs: number;
  /** A connection on which nothing has moved for so long is given up. */
  idleTimeoutMs: number;
  /** Where this is, without secrets. */
  location: string;
};

const longestTimeoutMs = 24 * 60 * 60 * 1000;

const knownOptions = [
  ...['region', 'endpoint', 'pathStyle', 'storageClass', 'objectLock', 'retainDays', 'serverSideEncryption', 'kmsKeyId', 'profile'],
  ...['anonymous', 'connections', 'connectTimeout', 'timeout'],
];

const remedy = 'write s3://BUCKET/PREFIX?region=REGION, or s3:https://HOST/BUCKET/PREFIX: see docs/configuration.md';
const usage = (message: string) => new HoldfastError('usage', message, { remedy });

/**
 * Takes an address apart. Options in the URL's query go before those of the address.
 * @throws `usage` for what cannot be used; messages never repeat the URL, which may hold secrets.
 */
export function parseS3Address({ url, options = {} }: Pick<StorageAddress, 'url' | 'options'>): S3Settings {
  const question = url.indexOf('?');
  const given: Record<string, string | undefined> = { ...options };
  if (question >= 0) for (const [name, value] of new URLSearchParams(url.slice(question + 1))) given[name] = value;
  for (const name of Object.keys(given)) {
    if (!knownOptions.includes(name)) throw usage(`s3: has no option ${JSON.stringify(name)}; it has ${knownOptions.join(', ')}`);
  }
  const place = parsePlace(question < 0 ? url : url.slice(0, question));
  if (place.host !== undefined && given.endpoint !== undefined) throw usage('the URL of an s3: storage names a host, and an endpoint too');
  const host = place.host ?? (given.endpoint === undefined ? undefined : parseEndpoint(given.endpoint));
  const amazon = host === undefined ? {} : amazonOf(host);
  const endpoint = amazon === undefined ? host : undefined;
  const { bucket, prefix } = place;
  return {
    bucket,
    prefix,
    endpoint,
    region: given.region ?? amazon?.region,
    pathStyle: flag(given, 'pathStyle', endpoint !== undefined),
    storageClass: given.storageClass,
    objectLock: objectLockOf(given),
    serverSideEncryption: encryptionOf(given),
    profile: given.profile,
    anonymous: flag(given, 'anonymous', false),
    connections: count(given, 'connections', 16, 1, 100),
    connectTimeoutMs: duration(given, 'connectTimeout', 15_000),
    idleTimeoutMs: duration(given, 'timeout', 120_000),
    location: `s3:${endpoint ?? '//'}${endpoint === undefined ? '' : '/'}${bucket}${prefix === '' ? '' : `/${prefix}`}`,
  };
}

type Place = { host: string | undefined; bucket: string; prefix: string };

/**
 * `s3://bucket/prefix` is AWS; `s3:host/bucket/prefix` and `s3:https://host/bucket/prefix` are restic's forms. restic takes the first name of
 * `s3://` for a host; where it can be nothing else (a port, a host of AWS), it is one here too.
 */
function parsePlace(url: string): Place {
  const rest = url.replace(/^s3:/, '');
  const form = /^(https?:\/\/|\/\/|\/?)([^/]*)(.*)$/s.exec(rest) as unknown as [string, string, string, string];
  const [, lead, first, path] = form;
  const isBucket = lead === '//' && !first.includes(':') && !first.endsWith('.amazonaws.com') && !first.includes('@');
  if (isBucket) return { host: undefined, ...parsePath(`/${first}${path}`) };
  return { host: parseEndpoint(`${lead.startsWith('http') ? lead : 'https://'}${first}`), ...parsePath(path) };
}

function parsePath(path: string): { bucket: string; prefix: string } {
  let names: string[];
  try {
    names = path.split('/').filter((name) => name !== '');
    names = names.map((name) => decodeURIComponent(name));
  } catch {
    throw usage('the path of an s3: URL has a broken %-escape');
  }
  const [bucket, ...prefix] = names;
  // Source: the rules for names of general purpose buckets; compatible servers have been laxer about capitals and underscores.
  if (bucket === undefined || !/^[A-Za-z0-9][A-Za-z0-9._-]{2,254}$/.test(bucket)) throw usage('an s3: URL needs the name of a bucket');
  if (prefix.some((name) => name === '.' || name === '..')) throw usage('the prefix in an s3: URL cannot hold "." or ".."');
  return { bucket, prefix: prefix.join('/') };
}

/** @returns `https://host[:port]`. */
function parseEndpoint(text: string): string {
  const full = /^https?:\/\//.test(text) ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.hostname === '') throw usage('the host of the s3: storage cannot be understood');
  if (url.username !== '' || url.password !== '')
    throw new HoldfastError('usage', 'the URL of an s3: storage holds credentials', {
      remedy: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile, and take them out of the URL',
    });
  if (url.pathname !== '/' || url.search !== '') throw usage('the endpoint of an s3: storage is a host, without a path');
  return url.origin;
}

/** The region in one of AWS's own host names, or undefined when it is not one. */
function amazonOf(endpoint: string): { region?: string } | undefined {
  const { hostname, protocol, port } = new URL(endpoint);
  const found = /^s3(?:[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d+))?\.amazonaws\.com$/.exec(hostname);
  if (found === null || protocol !== 'https:' || port !== '') return undefined;
  return found[1] === undefined ? {} : { region: found[1] };
}

function objectLockOf(given: Record<string, string | undefined>): S3Settings['objectLock'] {
  const { objectLock, retainDays } = given;
  if (objectLock === undefined) {
    if (retainDays !== undefined) throw usage('retainDays needs objectLock: compliance or governance');
    return undefined;
  }
  if (objectLock !== 'compliance' && objectLock !== 'governance') throw usage('objectLock is compliance or governance');
  if (retainDays === undefined) throw usage('objectLock needs retainDays: for how many days files cannot be deleted');
  return { mode: objectLock === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE', retainDays: count(given, 'retainDays', 0, 1, 36_500) };
}

function encryptionOf(given: Record<string, string | undefined>): S3Settings['serverSideEncryption'] {
  const { serverSideEncryption: algorithm, kmsKeyId } = given;
  if (algorithm === undefined && kmsKeyId === undefined) return undefined;
  if (algorithm !== 'AES256' && algorithm !== 'aws:kms') throw usage('serverSideEncryption is AES256 or aws:kms');
  if (algorithm === 'AES256' && kmsKeyId !== undefined) throw usage('kmsKeyId needs serverSideEncryption: aws:kms');
  return { algorithm, kmsKeyId };
}

function flag(given: Record<string, string | undefined>, name: string, standard: boolean): boolean {
  const text = given[name];
  if (text === undefined) return standard;
  if (text !== 'true' && text !== 'false') throw usage(`${name} is true or false`);
  return text === 'true';
}

function count(given: Record<string, string | undefined>, name: string, standard: number, least: number, most: number): number {
  const text = given[name];
  if (text === undefined) return standard;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw usage(`${name} is a whole number from ${least} to ${most}`);
  return value;
}

function duration(given: Record<string, string | undefined>, name: string, standardMs: number): number {
  const text = given[name];
  const ms = text === undefined ? standardMs : parseDuration(text);
  if (ms === undefined || ms < 1000 || ms > longestTimeoutMs) throw usage(`${name} is a duration from 1s to 1d, as 5m`);
  return ms;
}
