/**
 * The contract of a storage: named files of opaque bytes, in the kinds that the repository format knows. A storage
 * knows nothing of what the bytes mean.
 */
export type FileKind = 'config' | 'keys' | 'locks' | 'snapshots' | 'index' | 'data';

/**
 * `name` is 64 hexadecimal characters; for kind `config`, which has one file, it is ignored. `holds` is set by who knows that a pack holds
 * trees: a cache keeps such packs.
 */
export type FileRef = { kind: FileKind; name: string; holds?: 'trees' };

export type StoredFile = { name: string; sizeBytes: number };

/** `path` is from the root of the repository; `unfinished` is what writers call files on their way. */
export type Stranger = { path: string; sizeBytes: number; unfinished: boolean };

/** What a file is to hold, read as often as it takes. */
export interface FileSource {
  readonly sizeBytes: number;
  /** Each time from the beginning; what was given is nobody else's. */
  pieces(): AsyncIterable<Uint8Array>;
}

export type ReadRange = { offset: number; length: number; into?: Buffer };

/** A file that is being written. Nobody sees it before `commit`; all throw `storage-full` and `storage`. */
export interface PendingFile {
  /** When it resolves, `bytes` may be used for something else. */
  append(bytes: Uint8Array): Promise<void>;
  /** When it resolves, the file is durable and complete under its name; when it rejects, no file of that name has appeared. */
  commit(name: string): Promise<void>;
  /** Removes what was written so far. Harmless after a failure, or twice. */
  discard(): Promise<void>;
}

export interface Storage {
  /** Where this is, for messages: never holds a secret. */
  readonly location: string;
  /**
   * Path of a file of the repository that every process of this host opens as a file of the same file system, whatever container it is in;
   * storages elsewhere have none. It need not exist.
   */
  readonly hostFile?: string;
  /** Whether every operation costs a round trip, so that larger ones, and several at once, are worth their memory. */
  readonly remote?: boolean;
  /** Creates what an empty repository needs. Harmless when it is there. */
  create(): Promise<void>;
  /** All files of a kind, in no order. */
  list(kind: FileKind): AsyncIterable<StoredFile>;
  /**
   * Reads a file, or `length` bytes of it from `offset`. The result may be a view of `into`, a buffer of at least `length` bytes
   * that the caller lends for reuse.
   * @throws `file-missing`; `damaged` when the file is shorter than asked; `storage`.
   */
  read(file: FileRef, range?: ReadRange): Promise<Buffer>;
  /** @throws `file-missing`, `storage`. */
  sizeOf(file: FileRef): Promise<number>;
  /**
   * Stores a file as a whole: when this resolves, it is durable and complete; when it rejects or the process dies, no
   * file of that name has appeared. Storing the same name again replaces it.
   * @throws `storage-full`, `storage`.
   */
  write(file: FileRef, parts: readonly Uint8Array[]): Promise<void>;
  /**
   * Begins a pack (a file of kind `data`) whose name is known only when it is complete, so that a writer needs no memory for the whole of
   * it. Storages that must know a file's name or length before its bytes do without, or with `with-spool.ts`.
   * @param holds as in `FileRef`.
   * @throws `storage-full`, `storage`.
   */
  begin?(holds?: FileRef['holds']): Promise<PendingFile>;
  /** As `write`, without having all of it in memory. Storages that write best as it comes do without. */
  writeFrom?(file: FileRef, source: FileSource): Promise<void>;
  /** Removes a file; harmless when it is not there. @throws `storage`. */
  remove(file: FileRef): Promise<void>;
  /**
   * Removes what writers that were killed left behind and `list` does not show, when it is older than `olderThanMs`. Storages on which
   * nothing can be left behind do without.
   * @throws `storage`.
   */
  removeLeftovers?(olderThanMs: number): Promise<void>;
  /**
   * What lies beside the repository's files and is none of them: writers at work, or that were killed, leave it, or somebody has put it there.
   * Storages that can't tell do without.
   * @throws `storage`.
   */
  strangers?(): AsyncIterable<Stranger>;
  /** Ends connections and helper processes. Nothing may be under way. Storages that keep none do without. Harmless when called twice. */
  close?(): Promise<void>;
}

const MiB = 1024 * 1024;
const longest: Record<FileKind, number> = {
  config: MiB,
  keys: MiB,
  locks: MiB,
  snapshots: 64 * MiB,
  index: 1024 * MiB,
  data: 1024 * MiB,
};

/** No honest file of a kind is longer, in bytes: what claims to be, or goes on and on, is not read as a whole. */
export const longestFileBytes = (kind: FileKind): number => longest[kind];

/** How many transfers a lane had better have under way: enough to hide the round trips of a storage that is far away. */
export const transfersAtOnce = ({ remote = false }: Storage): number => (remote ? 3 : 1);

/**
 * What the composition root makes a storage from. It crosses threads, so that every lane opens the same storage by itself; only the
 * composition root looks into it.
 */
export type StorageAddress = {
  /** A path, or a URL as in holdfast.yaml. May hold secrets: never printed; `Storage.location` is. */
  url: string;
  /** Settings of the kind of storage, by name; see docs/configuration.md. */
  options?: Readonly<Record<string, string>>;
  /** Bytes a second, for all threads of the process together. */
  limits?: { upload?: SharedLimit; download?: SharedLimit };
  /** Folder of the cache of metadata on this host, one a repository; without it nothing is cached. */
  cacheFolder?: string;
  /** How storages of all threads are told to stop waiting, and tell of their retries. */
  retries?: RetryLink;
};

/** What threads share about retries: see `with-retry.ts`. */
export type RetryLink = {
  /** One 32-bit word; other than 0 when the run is to end: nothing is tried again for long. */
  stop: SharedArrayBuffer;
  /** Name of a BroadcastChannel on which retries are told. */
  channel: string;
};

/** A budget of bytes a second that threads share: see `with-limit.ts`. */
export type SharedLimit = { bytesPerSecond: number; state: SharedArrayBuffer };
