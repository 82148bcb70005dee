/**
 * A storage behind restic's REST protocol, version 2, over any transport.
 * Source: restic, doc/REST_backend.rst.
 */
import { HoldfastError } from '../model/errors.ts';
import { receiveInto, receiveWhole } from './rest-bodies.ts';
import { failureOf } from './rest-failures.ts';
import { filesOfListing } from './rest-listing.ts';
import { drain, type ExchangeRequest, exchange, isSource, lengthOf, type RestResponse, type RestTransport } from './rest-transport.ts';
import { type FileKind, type FileRef, type FileSource, longestFileBytes, type ReadRange, type Storage } from './storage.ts';
import { takeTurns } from './turns.ts';

const namePattern = /^[0-9a-f]{64}$/;
const acceptsVersion2 = { accept: 'application/vnd.x.restic.rest.v2' };
/** About three million files. */
const longestListingBytes = 256 * 1024 * 1024;

export type RestProtocolOptions = {
  transport: RestTransport;
  /** Where the repository is, for messages; without secrets. */
  location: string;
  /** Exchanges at a time; others wait. */
  connections: number;
  /** The longest that an exchange may stand still. */
  idleTimeoutMs: number;
};

export function createRestProtocol({ transport, location, connections, idleTimeoutMs }: RestProtocolOptions): Storage {
  const turn = takeTurns(connections);
  const separator = location.endsWith('/') ? '' : '/';
  const subjectOf = (path: string) => `${location}${separator}${path}`;

  /** Whether anything of the repository was ever seen. */
  let seen = false;

  /** One exchange about a file or folder, when it is its turn. */
  const ask = <Result>(request: ExchangeRequest, read: (response: RestResponse, subject: string) => Promise<Result>): Promise<Result> => {
    const subject = subjectOf(request.path.replace(/\?.*/, ''));
    return turn(() =>
      exchange({ transport, subject, idleTimeoutMs }, request, (response) => {
        if (request.method !== 'POST' && isDone(response)) seen = true;
        return read(response, subject);
      }),
    );
  };

  /**
   * A 404 may not mean what it says: proxies answer so while the server behind them is away, and rclone when what is behind it fails. Whoever
   * believed it would take a lock for released, or a snapshot for forgotten.
   * @throws `storage` when the configuration seems to be gone as well, though the repository was there before.
   */
  async function refuseOutage(path: string): Promise<void> {
    try {
      await lookAt('config');
    } catch (error) {
      if (!isMissing(error)) throw error;
      throw fail(subjectOf(path), 'the server answered 404 Not Found, for the configuration of the repository too');
    }
  }

  /** Asks once more before it believes that a file is missing. The configuration may be: then there is no repository. */
  async function insist<Result>(path: string, attempt: () => Promise<Result>): Promise<Result> {
    try {
      return await attempt();
    } catch (error) {
      if (!isMissing(error) || !seen || path === 'config') throw error;
      await refuseOutage(path);
      return attempt();
    }
  }

  const sizeOf = (path: string): Promise<number> => insist(path, () => lookAt(path));

  /** @throws `file-missing`, `storage`. */
  const lookAt = (path: string): Promise<number> =>
    ask({ method: 'HEAD', path }, async (response, subject) => {
      await drain(response);
      if (response.status !== 200) throw failureOf(response, 'read', subject);
      return contentLength(response) ?? fail(subject, 'the server does not say how long it is');
    });

  async function readWhole(path: string, kind: FileKind): Promise<Buffer> {
    return ask({ method: 'GET', path, headers: acceptsVersion2 }, async (response, subject) => {
      if (response.status === 200) return receiveWhole(response, longestFileBytes(kind), subject);
      await drain(response);
      throw failureOf(response, 'read', subject);
    });
  }

  async function readRange(path: string, range: ReadRange): Promise<Buffer> {
    const { offset, length, into } = range;
    if (length === 0) {
      if ((await sizeOf(path)) < offset) throw tooShort(subjectOf(path));
      return into?.subarray(0, 0) ?? Buffer.alloc(0);
    }
    const headers = { ...acceptsVersion2, range: `bytes=${offset}-${offset + length - 1}` };
    return ask({ method: 'GET', path, headers }, async (response, subject) => {
      if (response.status === 206 || response.status === 200) {
        checkRange(response, range, subject);
        return receiveInto(response, length, into, subject);
      }
      await drain(response);
      throw response.status === 416 ? tooShort(subject) : failureOf(response, 'read', subject);
    });
  }

  /** @returns undefined when there is no such folder. */
  const listingOf = (path: string): Promise<Buffer | undefined> =>
    ask({ method: 'GET', path, headers: acceptsVersion2 }, async (response, subject) => {
      if (response.status === 200) return receiveWhole(response, longestListingBytes, subject);
      await drain(response);
      if (response.status === 404 && !isRclone(response)) return undefined;
      throw response.status === 404 ? fail(subject, 'the server answered 404 Not Found') : failureOf(response, 'list', subject);
    });

  /** Whether what could not be replaced is what was to be stored. Names are hashes of content; that of the configuration is not. */
  async function isStored(file: FileRef, path: string, parts: readonly Uint8Array[] | FileSource): Promise<boolean> {
    if (file.kind === 'config' && !isSource(parts)) return (await readWhole(path, file.kind)).equals(Buffer.concat(parts));
    return (await sizeOf(path)) === lengthOf(parts);
  }

  async function write(file: FileRef, parts: readonly Uint8Array[] | FileSource): Promise<void> {
    const path = pathOf(file);
    const refused = await ask({ method: 'POST', path, headers: octets, parts }, async (response, subject) => {
      await drain(response);
      if (isDone(response)) return undefined;
      // Nothing is missing: a 404 is the server's way to say that the repository's folders are not there.
      if (response.status === 404) throw fail(subject, 'cannot be written: the server answered 404 Not Found');
      return failureOf(response, 'write', subject);
    });
    if (refused === undefined) return;
    // A server that only appends refuses what is there already; a reply that got lost makes us send it again.
    if (refused.code === 'storage-denied' && (await isStored(file, path, parts).catch(() => false))) return;
    throw refused;
  }

  return {
    location,

    create: () =>
      ask({ method: 'POST', path: '?create=true', parts: [] }, async (response) => {
        await drain(response);
        if (!isDone(response)) throw failureOf(response, 'create', location);
      }),

    async *list(kind) {
      const path = `${kind}/`;
      // Received as a whole first: a listing that breaks off must not begin, and no connection waits for who uses it.
      let listing = await listingOf(path);
      if (listing === undefined && seen) {
        await refuseOutage(path);
        listing = await listingOf(path);
      }
      if (listing !== undefined) yield* filesOfListing(listing, subjectOf(path));
    },

    async read(file, range) {
      const path = pathOf(file);
      return insist(path, () => (range === undefined ? readWhole(path, file.kind) : readRange(path, range)));
    },

    async sizeOf(file) {
      return sizeOf(pathOf(file));
    },

    write,
    writeFrom: write,

    async remove(file) {
      await ask({ method: 'DELETE', path: pathOf(file) }, async (response, subject) => {
        await drain(response);
        if (!isDone(response) && response.status !== 404) throw failureOf(response, 'remove', subject);
      });
    },

    close: () => transport.close(),
  };
}

const octets = { 'content-type': 'application/octet-stream' };

function pathOf({ kind, name }: FileRef): string {
  if (kind === 'config') return 'config';
  if (!namePattern.test(name)) throw new HoldfastError('internal', `no file of a repository is named ${JSON.stringify(name)}`);
  return `${kind satisfies FileKind}/${name}`;
}

const isMissing = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'file-missing';

const isDone = ({ status }: RestResponse): boolean => status >= 200 && status < 300;

/** rclone answers 404 for failures of what is behind it too; a folder that is not there it lists as empty. */
const isRclone = (response: RestResponse): boolean => response.header('server')?.startsWith('rclone/') === true;

function contentLength(response: RestResponse): number | undefined {
  const text = response.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Holds what a server says it sends against what was asked for. @throws `damaged` when the file is too short; `storage`. */
function checkRange(response: RestResponse, { offset, length }: ReadRange, subject: string): void {
  const end = offset + length;
  if (response.status === 200) {
    const total = contentLength(response);
    if (total !== undefined && total < end) throw tooShort(subject);
    if (offset !== 0 || total !== length) throw fail(subject, 'the server does not give parts of files');
    return;
  }
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.header('content-range') ?? '') ?? [];
  if (total !== undefined && total !== '*' && Number(total) < end) throw tooShort(subject);
  if (Number(first) !== offset || Number(last) !== end - 1) throw fail(subject, 'the server sent another part than was asked for');
}

const tooShort = (subject: string) => new HoldfastError('damaged', `${subject} is too short`, { file: subject });

function fail(subject: string, what: string): never {
  throw new HoldfastError('storage', `${subject}: ${what}`, { file: subject });
}
