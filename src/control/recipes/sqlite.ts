/** Consistent copies of the SQLite databases of a volume, made while programs write to them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExcludeOptions } from '../../engine/source/excludes.ts';
import { HoldfastError } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import { bytesFromRaw, displayRaw, type RawString } from '../../model/raw-bytes.ts';
import type { CopyReply, CopyRequest } from './sqlite-copy.ts';
import { type FoundDatabase, findDatabases } from './sqlite-find.ts';

export type SqliteOptions = {
  /** Absolute path of the volume's root. */
  directory: string;
  excludes: ExcludeOptions;
  /** Whether every file is looked into, or only what looks like a database (see `FindOptions.everywhere`). */
  everywhere: boolean;
  /** Absolute path of the folder for the copies, which is made. */
  into: string;
  /** Called before the first copy is made. */
  begin: () => Promise<unknown>;
  /** Module of the process that copies. */
  copier: URL;
  signal: AbortSignal;
};

export type SqliteCopies = {
  /** For a backup: copies by the paths of databases, and what lies beside these left out. */
  substitutes: Map<RawString, string | undefined>;
  copied: number;
  /** Databases that are read as they stand, and why; for people. */
  failed: { path: string; reason: string }[];
  /** Whether all databases were found. */
  complete: boolean;
};

/** What a copy may take beyond reading and writing so much a second. */
const graceMs = 60_000;
const slowestBytesPerMs = 2000;
const besides = ['-wal', '-shm', '-journal'];

/** @throws `interrupted`. What fails is in the result. */
export async function copyDatabases(options: SqliteOptions): Promise<SqliteCopies> {
  const { directory, into, signal } = options;
  const { databases, complete } = await findDatabases(options);
  const copies: SqliteCopies = { substitutes: new Map(), copied: 0, failed: [], complete };
  if (databases.length === 0) return copies;
  const paths = new Set(databases.map(({ path }) => path));
  try {
    await options.begin();
    await mkdir(into, { recursive: true, mode: 0o700 });
  } catch (error) {
    const reason = `there is no place for its copy: ${(error as Error).message}`;
    return { ...copies, failed: databases.map(({ path }) => ({ path: displayRaw(path), reason })) };
  }
  const copier = new Copier(options.copier, into);
  try {
    for (const [i, database] of databases.entries()) {
      throwIfInterrupted(signal);
      const copy = join(into, String(i));
      const reason = (await lackOfRoom(into, database)) ?? (await copier.copy(directory, database, copy, signal));
      if (reason !== undefined) copies.failed.push({ path: displayRaw(database.path), reason });
      else {
        copies.copied++;
        copies.substitutes.set(database.path, copy);
        for (const suffix of besides) {
          const beside = `${database.path}${suffix}` as RawString;
          // A name may end like that and be a database of its own.
          if (!paths.has(beside)) copies.substitutes.set(beside, undefined);
        }
      }
    }
  } finally {
    copier.end();
  }
  throwIfInterrupted(signal);
  return copies;
}

function throwIfInterrupted({ aborted, reason }: AbortSignal): void {
  if (aborted) throw reason instanceof HoldfastError ? reason : new HoldfastError('interrupted', 'interrupted');
}

/** All copies lie there until they are stored. */
async function lackOfRoom(folder: string, { sizeBytes }: FoundDatabase): Promise<string | undefined> {
  const { bavail, bsize, blocks } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (blocks === 0 || sizeBytes <= freeBytes) return undefined;
  return `its copy needs ${formatSize(sizeBytes)}, and ${formatSize(freeBytes)} are free in ${folder}: name another folder with HOLDFAST_STATE_DIR`;
}

/** A process that copies, one database after the other; ended when one takes too long, and started again for the next. */
class Copier {
  private readonly module: string;
  /** The only one that it may write to. */
  private readonly folder: string;
  private child: ChildProcess | undefined;
  private replies: AsyncIterator<string> | undefined;

  constructor(module: URL, folder: string) {
    this.module = fileURLToPath(module);
    this.folder = folder;
  }

  /** @returns why it could not be copied. */
  async copy(directory: string, database: FoundDatabase, into: string, signal: AbortSignal): Promise<string | undefined> {
    const request: CopyRequest = {
      root: Buffer.from(directory).toString('base64'),
      path: bytesFromRaw(database.path).toString('base64'),
      device: database.device,
      inode: database.inode,
      keepsLog: database.keepsLog,
      into,
    };
    const limitMs = graceMs + Math.round(database.sizeBytes / slowestBytesPerMs);
    const child = this.start();
    const late = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    const kill = () => this.end();
    late.addEventListener('abort', kill, { once: true });
    if (late.aborted) kill();
    try {
      child.stdin?.write(`${JSON.stringify(request)}\n`);
      const answer = await this.replies?.next();
      if (answer === undefined || answer.done) {
        this.end();
        return late.aborted ? `it took longer than ${Math.round(limitMs / 1000)} s` : 'the process that copies it has ended';
      }
      const reply = JSON.parse(answer.value) as CopyReply;
      return reply.ok ? undefined : reply.reason;
    } finally {
      late.removeEventListener('abort', kill);
    }
  }

  private start(): ChildProcess {
    if (this.child !== undefined) return this.child;
    // Without an environment: what reads the files of others needs no secrets.
    const child = spawn(process.execPath, ['--no-warnings', this.module, this.folder], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
    // Its end is seen by its output's.
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    this.child = child;
    this.replies = createInterface(child.stdout)[Symbol.asyncIterator]();
    return child;
  }

  end(): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
    this.replies = undefined;
  }
}
