/**
 * Where a bucket is, and who asks: from the environment alone when that says it all, else by AWS's SDK, which knows profiles, single sign-on,
 * web identity and metadata services. The SDK takes some 40 MB a thread, so that it is loaded for that only.
 */
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import type { S3Settings } from './s3-settings.ts';
import type { Credentials } from './s3-sign.ts';

export type S3Access = {
  region: string;
  /** Ends in a slash; keys of the bucket follow. */
  bucketUrl(region: string): Promise<URL>;
  /** Undefined for requests without signature. Refreshed when they run out. */
  credentials(): Promise<Credentials | undefined>;
  close(): void;
};

const fallbackRegion = 'us-east-1';

/** @throws what the SDK throws; `unsupported` for directory buckets. */
export async function findAccess(settings: S3Settings, environment: NodeJS.ProcessEnv = process.env): Promise<S3Access> {
  if (settings.endpoint === undefined && settings.bucket.endsWith('--x-s3'))
    throw new HoldfastError('unsupported', `${settings.location} is a directory bucket of S3 Express, which Holdfast cannot use`);
  return accessByEnvironment(settings, environment) ?? accessBySdk(settings, environment);
}

/** Undefined when it takes more than the environment to know. */
function accessByEnvironment(settings: S3Settings, environment: NodeJS.ProcessEnv): S3Access | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = environment;
  const { anonymous, profile } = settings;
  if (profile !== undefined || environment.AWS_PROFILE || hasConfiguration(environment)) return undefined;
  if (!anonymous && !(accessKeyId && secretAccessKey)) return undefined;
  const region = settings.region ?? (environment.AWS_REGION || environment.AWS_DEFAULT_REGION || fallbackRegion);
  if (settings.endpoint === undefined && (suffixOf(region) === undefined || hasPlaceOfItsOwn(environment))) return undefined;
  const known = anonymous ? undefined : { accessKeyId: accessKeyId as string, secretAccessKey: secretAccessKey as string, sessionToken };
  return {
    region,
    bucketUrl: async (actual) => plainUrl(settings, actual),
    credentials: async () => known && { ...known, sessionToken: sessionToken || undefined },
    close: () => undefined,
  };
}

/** Files of AWS's tools may name a region, an endpoint and more. */
function hasConfiguration({ AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE }: NodeJS.ProcessEnv): boolean {
  const isThere = (named: string | undefined, usual: string): boolean => {
    try {
      return (statSync(named || join(homedir(), '.aws', usual), { throwIfNoEntry: false })?.size ?? 0) > 0;
    } catch {
      // In containers, a user may have no home, or one that only root may enter: the SDK could not read it either.
      return false;
    }
  };
  return isThere(AWS_CONFIG_FILE, 'config') || isThere(AWS_SHARED_CREDENTIALS_FILE, 'credentials');
}

/** Variables that change how AWS's hosts are called. */
const hasPlaceOfItsOwn = (environment: NodeJS.ProcessEnv): boolean =>
  Object.keys(environment).some((name) => /^AWS_(ENDPOINT_URL|USE_|S3_)/.test(name));

/** What the names of AWS's hosts end in, for the regions in which that is known here. */
function suffixOf(region: string): string | undefined {
  if (/^cn-[a-z]+-\d+$/.test(region)) return 'amazonaws.com.cn';
  return /^[a-z]{2}(-gov)?-[a-z]+-\d+$/.test(region) ? 'amazonaws.com' : undefined;
}

/** Source: AWS, "Virtual hosting of buckets". A name with dots or capitals fits no certificate. */
function plainUrl({ endpoint, bucket, pathStyle }: S3Settings, region: string): URL {
  const url = new URL(endpoint ?? `https://s3.${region}.${suffixOf(region) ?? 'amazonaws.com'}`);
  const isAddress = /^[\d.]+$|^\[/.test(url.hostname);
  if (pathStyle || isAddress || !/^[a-z0-9-]+$/.test(bucket)) url.pathname = `/${bucket}/`;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url;
}

async function accessBySdk(settings: S3Settings, environment: NodeJS.ProcessEnv): Promise<S3Access> {
  const { S3Client, HeadBucketCommand } = await import('@aws-sdk/client-s3');
  const { region, endpoint, profile, anonymous, pathStyle, bucket } = settings;
  const common = {
    ...(endpoint !== undefined && { endpoint }),
    ...(profile !== undefined && { profile }),
    // What it finds to say is in its errors.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
  const client = new S3Client({ ...common, ...(region !== undefined && { region }) });
  return {
    // No configuration may name one. Compatible servers mostly take any; AWS then says where the bucket is.
    region: await client.config.region().catch(() => environment.AWS_DEFAULT_REGION || fallbackRegion),
    async bucketUrl(actual) {
      if (endpoint !== undefined) return plainUrl(settings, actual);
      const asking = new S3Client({ ...common, region: actual, forcePathStyle: pathStyle });
      try {
        return await urlOfHead(asking, new HeadBucketCommand({ Bucket: bucket }));
      } finally {
        asking.destroy();
      }
    },
    credentials: async () => (anonymous ? undefined : client.config.credentials()),
    close: () => client.destroy(),
  };
}

type Sdk = typeof import('@aws-sdk/client-s3');

/** Where the SDK would send a request, which is not sent. */
async function urlOfHead(client: InstanceType<Sdk['S3Client']>, command: InstanceType<Sdk['HeadBucketCommand']>): Promise<URL> {
  let url: URL | undefined;
  client.middlewareStack.add(
    () => async (args) => {
      const { protocol, hostname, port, path } = args.request as { protocol: string; hostname: string; port?: number; path: string };
      url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path.endsWith('/') ? path : `${path}/`}`);
      return { response: undefined, output: { $metadata: {} } };
    },
    { step: 'build', name: 'findPlace' },
  );
  await client.send(command);
  if (url === undefined) throw new HoldfastError('internal', "AWS's SDK does not say where the bucket is");
  return url;
}
