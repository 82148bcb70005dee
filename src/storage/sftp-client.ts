/** An SFTP client over a pair of streams: many requests under way, answers by their numbers. */
import type { Readable, Writable } from 'node:stream';
import {
  type Attributes,
  decodeReply,
  decodeStatvfs,
  decodeVersion,
  type Entry,
  encodeInit,
  encodeRequest,
  extensions,
  type Field,
  type FileSystemRoom,
  modeOnly,
  openFlags,
  PacketReader,
  ProtocolError,
  type Reply,
  requestTypes,
  statusCodes,
} from './sftp-protocol.ts';

/** Every server takes so much in a packet; larger ones gain little. */
export const pieceBytes = 32 * 1024;
/** Pieces of one file that are under way: 2 MiB, which is all that OpenSSH lets be on its way at once. */
export const piecesUnderWay = 64;
/** Requests for more of a listing that are under way, at most. */
const listingsUnderWay = 16;
/** Of one folder; more are not believed. */
const mostEntries = 4_000_000;

/** The server's no. `code` is one of `statusCodes`, or another of the protocol. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message === '' ? `status ${code}` : message);
    this.code = code;
  }
}

export const isStatus = (error: unknown, code: number): boolean => error instanceof StatusError && error.code === code;

export type ClientOptions = {
  input: Writable;
  output: Readable;
  /** How long nothing may arrive while something is asked for. */
  idleTimeoutMs: number;
  /** Told when the first request is under way, and when none is any more. */
  onBusy: (busy: boolean) => void;
  /** Told once, when the connection is over: by its end, by silence, or because what arrived is not SFTP. @returns the error for all requests. */
  onOver: (cause: Error | undefined) => Promise<Error>;
};

type Waiting = { resolve: (reply: Reply) => void; reject: (error: Error) => void };

/** All methods throw StatusError for what the server refuses, and the error of `onOver` when the connection is over. */
export class SftpClient {
  private readonly options: ClientOptions;
  private readonly reader = new PacketReader();
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private offered: Map<string, string> | undefined;
  private greeted: { resolve: () => void; reject: (error: Error) => void } | undefined;
  private ending: Promise<Error> | undefined;
  private silence: NodeJS.Timeout | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    const { input, output } = options;
    // What can't be written any more shows where answers are awaited.
    input.on('error', () => this.end());
    output.on('error', () => this.end());
    output.on('end', () => this.end());
    output.on('close', () => this.end());
    output.on('data', (chunk: Buffer) => this.receive(chunk));
  }

  /** Whether no request will ever be answered again. */
  get over(): boolean {
    return this.ending !== undefined;
  }

  /** Agrees on the version; to be called first, once. */
  async greet(): Promise<void> {
    this.expectAnswers(true);
    const answer = new Promise<void>((resolve, reject) => {
      this.greeted = { resolve, reject };
    });
    this.options.input.write(encodeInit());
    await answer;
    this.expectAnswers(false);
  }

  has(extension: string): boolean {
    return this.offered?.has(extension) === true;
  }

  async openToRead(path: string): Promise<Buffer> {
    return this.handleFrom(this.ask(requestTypes.open, [path, openFlags.read, 0]));
  }

  /** @throws StatusError also when there is a file of that name. */
  async openNew(path: string, mode: number): Promise<Buffer> {
    const flags = openFlags.write | openFlags.create | openFlags.exclusive;
    return this.handleFrom(this.ask(requestTypes.open, [path, flags, ...modeOnly(mode)]));
  }

  async close(handle: Buffer): Promise<void> {
    await this.done(this.ask(requestTypes.close, [handle]));
  }

  /** Closes what was only read: nobody needs to know how that went. */
  closeUnheard(handle: Buffer): void {
    this.close(handle).catch(() => undefined);
  }

  /** @returns at most so many bytes; none at the end of the file. */
  async read(handle: Buffer, offset: number, length: number): Promise<Buffer> {
    const reply = await this.ask(requestTypes.read, [handle, BigInt(offset), length]);
    if (reply.kind === 'status' && reply.code === statusCodes.eof) return Buffer.alloc(0);
    const { data } = this.expect(reply, 'data');
    if (data.length > length || data.length === 0) throw this.broken(`${data.length} bytes where ${length} were asked for`);
    return data;
  }

  /** `bytes` belong to the connection until this resolves. */
  async write(handle: Buffer, offset: number, bytes: Uint8Array): Promise<void> {
    await this.done(this.ask(requestTypes.write, [handle, BigInt(offset), bytes.length], bytes));
  }

  async stat(path: string): Promise<Attributes> {
    return this.expect(await this.ask(requestTypes.stat, [path]), 'attributes').attributes;
  }

  async statHandle(handle: Buffer): Promise<Attributes> {
    return this.expect(await this.ask(requestTypes.fstat, [handle]), 'attributes').attributes;
  }

  async makeFolder(path: string, mode: number): Promise<void> {
    await this.done(this.ask(requestTypes.mkdir, [path, ...modeOnly(mode)]));
  }

  async remove(path: string): Promise<void> {
    await this.done(this.ask(requestTypes.remove, [path]));
  }

  /** Replaces what has the new name only with the extension posix-rename. */
  async rename(from: string, to: string): Promise<void> {
    const request = this.has(extensions.posixRename)
      ? this.ask(requestTypes.extended, [extensions.posixRename, from, to])
      : this.ask(requestTypes.rename, [from, to]);
    await this.done(request);
  }

  /** Needs the extension fsync. */
  async flush(handle: Buffer): Promise<void> {
    await this.done(this.ask(requestTypes.extended, [extensions.fsync, handle]));
  }

  /** Undefined from servers that don't tell. */
  async roomAt(path: string): Promise<FileSystemRoom | undefined> {
    if (!this.has(extensions.statvfs)) return undefined;
    return decodeStatvfs(this.expect(await this.ask(requestTypes.extended, [extensions.statvfs, path]), 'extended').body);
  }

  async openFolder(path: string): Promise<Buffer> {
    return this.handleFrom(this.ask(requestTypes.opendir, [path]));
  }

  /** What is in a folder, but for itself and its parent, and how many round trips that took. Closes the folder. */
  async entries(folder: Buffer): Promise<{ entries: Entry[]; roundTrips: number }> {
    try {
      const entries: Entry[] = [];
      for (let roundTrips = 1, underWay = 2; ; roundTrips++, underWay = Math.min(2 * underWay, listingsUnderWay)) {
        const parts = await Promise.all(Array.from({ length: underWay }, () => this.moreEntries(folder)));
        for (const part of parts) for (const entry of part ?? []) if (entry.name !== '.' && entry.name !== '..') entries.push(entry);
        if (parts.includes(undefined)) return { entries, roundTrips };
        if (entries.length > mostEntries) throw this.broken('a listing without end');
      }
    } finally {
      this.closeUnheard(folder);
    }
  }

  /** Undefined when there is no more. */
  private async moreEntries(handle: Buffer): Promise<Entry[] | undefined> {
    const reply = await this.ask(requestTypes.readdir, [handle]);
    if (reply.kind === 'status' && reply.code === statusCodes.eof) return undefined;
    return this.expect(reply, 'names').entries;
  }

  private async handleFrom(asked: Promise<Reply>): Promise<Buffer> {
    // The packet that it came in is not to be kept for it.
    return Buffer.from(this.expect(await asked, 'handle').handle);
  }

  private async done(asked: Promise<Reply>): Promise<void> {
    const { code, message } = this.expect(await asked, 'status', statusCodes.ok);
    if (code !== statusCodes.ok) throw new StatusError(code, message);
  }

  private expect<Kind extends Reply['kind']>(reply: Reply, kind: Kind, good?: number): Extract<Reply, { kind: Kind }> {
    if (reply.kind === 'status' && reply.code !== good) throw new StatusError(reply.code, reply.message);
    if (reply.kind !== kind) throw this.broken(`${reply.kind} where ${kind} was expected`);
    return reply as Extract<Reply, { kind: Kind }>;
  }

  /** Sent before this returns, so that requests arrive in the order in which they are made; `content` is sent behind the fields. */
  private async ask(type: number, fields: readonly Field[], content?: Uint8Array): Promise<Reply> {
    if (this.ending !== undefined) throw await this.ending;
    const id = this.nextId();
    const { input } = this.options;
    const answer = new Promise<Reply>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
    });
    if (this.waiting.size === 1) this.expectAnswers(true);
    const packet = encodeRequest(type, id, fields, content?.length);
    if (content === undefined) {
      input.write(packet);
      return answer;
    }
    // Both in one call of the system.
    input.cork();
    input.write(packet);
    input.write(content);
    input.uncork();
    return answer;
  }

  private nextId(): number {
    do this.lastId = (this.lastId + 1) >>> 0;
    while (this.waiting.has(this.lastId));
    return this.lastId;
  }

  private receive(chunk: Buffer): void {
    if (this.over) return;
    this.silence?.refresh();
    try {
      for (const packet of this.reader.push(chunk)) this.take(packet);
    } catch (error) {
      this.end(error as Error);
    }
  }

  private take(packet: Buffer): void {
    if (this.offered === undefined) {
      this.offered = decodeVersion(packet);
      this.greeted?.resolve();
      return;
    }
    const reply = decodeReply(packet);
    const waiting = this.waiting.get(reply.id);
    if (waiting === undefined) throw new ProtocolError(`an answer to request ${reply.id}, which is not under way`);
    this.waiting.delete(reply.id);
    if (this.waiting.size === 0) this.expectAnswers(false);
    waiting.resolve(reply);
  }

  private expectAnswers(expected: boolean): void {
    const { idleTimeoutMs, onBusy } = this.options;
    clearTimeout(this.silence);
    this.silence = undefined;
    if (expected) {
      const seconds = Math.round(idleTimeoutMs / 1000);
      this.silence = setTimeout(() => this.end(new Error(`the server has not answered for ${seconds} s`)), idleTimeoutMs);
    }
    onBusy(expected);
  }

  private broken(what: string): ProtocolError {
    const error = new ProtocolError(what);
    this.end(error);
    return error;
  }

  private end(cause?: Error): void {
    if (this.ending !== undefined) return;
    clearTimeout(this.silence);
    this.ending = this.options.onOver(cause);
    void this.ending.then((error) => {
      this.greeted?.reject(error);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
      this.options.onBusy(false);
    });
  }
}
