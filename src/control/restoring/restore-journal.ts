/**
 * What a restore into an engine's volumes has stopped, on disk: one that was killed is carried on by the next restore of the same volumes, which
 * also starts what that one had stopped. Containers are not started over a volume that is half-written.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import { judgeProcess, ownEvidence, type ProcessEvidence } from '../../repository/process-evidence.ts';
import { readJournal, removeJournal, writeJournal } from './journal-file.ts';

export type StoppedContainer = { id: string; name: string };

export type RestoreJournal = {
  /** Which engine has the volumes: others may have some of the same names. */
  engine: string;
  /** The engine's names of the volumes. */
  volumes: string[];
  /** In the order in which they were stopped. */
  stopped: StoppedContainer[];
  /** Run of the guard snapshots, once they are there. */
  guard?: string;
  startedAt: string;
  pid: number;
  evidence?: ProcessEvidence;
  /** The restore has failed; it is to be carried on by another. */
  left?: boolean;
};

export type HeldJournal = {
  /** Of earlier restores of these volumes that were killed: what they stopped, and the guard snapshots that they took. */
  readonly inherited: { stopped: StoppedContainer[]; guard: string | undefined };
  /** Durable when it returns. */
  note(change: Partial<Pick<RestoreJournal, 'stopped' | 'guard'>>): Promise<void>;
  /** The restore has failed half-way: what it stopped is for the next one to start. */
  leave(): Promise<void>;
  /** The restore has ended well, or has changed nothing. */
  close(): Promise<void>;
};

/** The folder of the journals of this host, which is made when it is missing; and what tells the engine apart. */
export type JournalPlace = { folder: string; engine: string };

/**
 * Takes volumes for a restore.
 * @throws `volume-in-use` when a restore of one of them is under way; `target-unwritable`.
 */
export async function openRestoreJournal({ folder, engine }: JournalPlace, volumes: readonly string[], now: Date): Promise<HeldJournal> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const own = ownEvidence();
  const file = join(
    folder,
    `${createHash('sha256')
      .update([engine, ...[...volumes].sort()].join('\n'))
      .digest('hex')
      .slice(0, 16)}-${process.pid}-${randomBytes(3).toString('hex')}.json`,
  );
  let journal: RestoreJournal = {
    engine,
    volumes: [...volumes],
    stopped: [],
    startedAt: now.toISOString(),
    pid: process.pid,
    ...(own === undefined ? {} : { evidence: own }),
  };
  // Written first, looked for others then: of two that begin at once, one at least sees the other.
  await writeJournal(file, journal);
  let earlier: { file: string; journal: RestoreJournal }[];
  try {
    earlier = await othersOf(folder, file, { engine, volumes }, own);
  } catch (error) {
    await removeJournal(file);
    throw error;
  }
  const stopped = new Map(earlier.flatMap((other) => other.journal.stopped).map((container) => [container.id, container]));
  const inherited = { stopped: [...stopped.values()], guard: earlier.map((other) => other.journal.guard).find((run) => run !== undefined) };
  const note = async (change: Partial<RestoreJournal>) => {
    journal = { ...journal, ...change };
    await writeJournal(file, journal);
  };
  if (earlier.length > 0) await note({ stopped: inherited.stopped, ...(inherited.guard === undefined ? {} : { guard: inherited.guard }) });
  // What they say is in this one now.
  for (const other of earlier) await removeJournal(other.file);
  return { inherited, note, leave: () => note({ left: true }), close: () => removeJournal(file) };
}

async function othersOf(
  folder: string,
  ownFile: string,
  { engine, volumes }: { engine: string; volumes: readonly string[] },
  own: ProcessEvidence | undefined,
) {
  const others: { file: string; journal: RestoreJournal }[] = [];
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    if (!name.endsWith('.json') || file === ownFile) continue;
    const journal = await readJournal<RestoreJournal>(file);
    const shared = journal?.volumes.filter((volume) => volumes.includes(volume)) ?? [];
    if (journal === undefined || shared.length === 0 || journal.engine !== engine) continue;
    if (isAlive(journal, own)) {
      throw new HoldfastError(
        'volume-in-use',
        `volume ${shared[0]} is being restored by process ${journal.pid} since ${journal.startedAt}`,
        {
          volume: shared[0] as string,
          remedy: `wait until it has finished; if there is no such process any more, remove ${file}`,
        },
      );
    }
    others.push({ file, journal });
  }
  return others;
}

/** Who works on a journal. */
export type JournalHolder = Pick<RestoreJournal, 'pid' | 'evidence' | 'left'>;

/** Without evidence, a process id that shows counts: two restores at once do harm, waiting doesn't. @param own evidence of this process. */
export function isAlive({ pid, evidence, left }: JournalHolder, own: ProcessEvidence | undefined): boolean {
  if (left) return false;
  // After a restart of the host nothing of before lives.
  if (evidence !== undefined && own !== undefined) {
    return evidence.boot === own.boot && judgeProcess(pid, evidence, own) !== 'dead';
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
