/** The client of an S3 storage: credentials, time limits, connections that are used again, and a bound on how many there are. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { failureOf } from './s3-failures.ts';
import type { S3Settings } from './s3-settings.ts';
import { takeTurns } from './turns.ts';

export type S3Connection = {
  /**
   * Works with the client when it is its turn; whoever reads a body does so in `work`, so that connections stay bounded.
   * @param doing what is done, as `read` or `list`, and to what: for messages.
   * @throws as `failureOf` says.
   */
  perform<Result>(doing: string, subject: string, work: (client: S3Client) => Promise<Result>): Promise<Result>;
  close(): void;
};

/** Opens nothing yet: the first request does. */
export function connectS3(settings: S3Settings): S3Connection {
  const inTurn = takeTurns(settings.connections);
  let opened: Promise<S3Client> | undefined;
  let current: S3Client | undefined;

  async function open(): Promise<S3Client> {
    current = new S3Client(configurationOf(settings));
    try {
      await regionOf(current);
    } catch {
      // No configuration names a region. Compatible servers mostly take any; AWS then says where the bucket is.
      current = new S3Client({ ...configurationOf(settings), region: process.env.AWS_DEFAULT_REGION ?? 'us-east-1' });
    }
    signWithKnownHash(current);
    return current;
  }

  return {
    perform: (doing, subject, work) =>
      inTurn(async () => {
        try {
          opened ??= open();
          return await work(await opened);
        } catch (error) {
          throw failureOf(error, doing, subject);
        }
      }),
    close() {
      current?.destroy();
      current = undefined;
      opened = undefined;
    },
  };
}

/** @throws when no configuration names one. */
export const regionOf = async (client: S3Client): Promise<string> => client.config.region();

function configurationOf(settings: S3Settings): S3ClientConfig {
  const { endpoint, region, profile, anonymous, pathStyle, connections, connectTimeoutMs, idleTimeoutMs } = settings;
  const agent = { keepAlive: true, maxSockets: connections };
  return {
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...(profile !== undefined && { profile }),
    ...(anonymous && { credentials: { accessKeyId: '', secretAccessKey: '' }, signer: { sign: async (request) => request } }),
    forcePathStyle: pathStyle,
    followRegionRedirects: endpoint === undefined,
    // Whoever opens a storage decides what is tried again, and for how long.
    maxAttempts: 1,
    // Checksums are computed where the bytes are; those that only the SDK knows of are more than old servers understand.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A round trip more for each pack.
    expectContinueHeader: false,
    requestHandler: { connectionTimeout: connectTimeoutMs, socketTimeout: idleTimeoutMs, httpAgent: agent, httpsAgent: agent },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
}

/** A body's SHA-256 that is sent as its checksum is part of the signature too: it need not be computed twice. */
function signWithKnownHash(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      const sum = headers['x-amz-checksum-sha256'];
      if (sum !== undefined) headers['x-amz-content-sha256'] = Buffer.from(sum, 'base64').toString('hex');
      return next(args);
    },
    { step: 'build', name: 'signWithKnownHash' },
  );
}
