/**
 * What a run has halted, on disk before it does so: whatever ends the run, the next one finds it and brings everything back. One file a run, in
 * a folder of this user's own; its entries say what to do, so that nobody else may write it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BeaconPlace } from '../../format/lock-file.ts';
import { HoldfastError } from '../../model/errors.ts';
import { type Beacon, judgeBeacon, lightBeacon } from '../../repository/beacon.ts';
import { judgeProcess, ownEvidence, type ProcessEvidence } from '../../repository/process-evidence.ts';
import type { Hook } from '../configuration/configuration.ts';
import { replaceFile } from '../restoring/journal-file.ts';

/** A container that was paused or stopped, or a Swarm service that was scaled to 0 and had so many replicas. */
export type JournalEntry =
  | { id: string; name: string; action: 'pause' }
  /** `timeoutMs`: how long the container is given to end. */
  | { id: string; name: string; action: 'stop'; timeoutMs?: number }
  | { id: string; name: string; action: 'scale'; replicas: number };

/** Variables of the environment by which an engine is found; none of them is a secret. */
export const reachNames = [
  'DOCKER_HOST',
  'DOCKER_CONTEXT',
  'DOCKER_CONFIG',
  'DOCKER_TLS_VERIFY',
  'DOCKER_TLS',
  'DOCKER_CERT_PATH',
  'XDG_RUNTIME_DIR',
] as const;

export type Journal = {
  run: string;
  project: string;
  /** Of {@link reachNames}, those that were set. */
  reach: Readonly<Record<string, string>>;
  /** In the order of halting. */
  groups: JournalEntry[][];
  /** To be run when all is back; first those for failures. */
  hooks: { onError: Hook[]; after: Hook[] };
};

type JournalFile = Journal & {
  version: 1;
  atMs?: number;
  pid: number;
  evidence: ProcessEvidence | undefined;
  /** On the folder of journals: of the process of another container it shows nothing else. */
  beacon?: BeaconPlace | undefined;
};

/** Of the runs of this process that have a journal. */
const beacons = new Map<string, Beacon | undefined>();

/** What became of the process that wrote a journal. */
export type FoundJournal = {
  journal: Journal;
  life: 'own' | 'alive' | 'dead' | 'unknown';
  /** When it was written, in milliseconds since 1970 by this host's clock. */
  atMs: number;
};

const folderMode = 0o700;
const fileMode = 0o600;
const suffix = '.json';

/** Where a run puts dumps until they are stored; not there unless somebody makes it. */
export const dumpFolderOf = (stateFolder: string, run: string): string => join(stateFolder, 'dumps', run);

/** @param stateFolder where Holdfast keeps what must outlive a run. */
const folderOf = (stateFolder: string): string => join(stateFolder, 'cuts');
const pathOf = (stateFolder: string, run: string): string => join(folderOf(stateFolder), `${run}${suffix}`);

/** Durable when it returns. Replaces the journal of the same run. @throws `target-unwritable`. */
export async function writeJournal(stateFolder: string, journal: Journal): Promise<void> {
  const path = pathOf(stateFolder, journal.run);
  try {
    await mkdir(folderOf(stateFolder), { recursive: true, mode: folderMode });
    if (!beacons.has(path)) beacons.set(path, lightBeacon(folderOf(stateFolder)));
    const beacon = beacons.get(path)?.place;
    const file: JournalFile = { version: 1, ...journal, atMs: Date.now(), pid: process.pid, evidence: ownEvidence(), beacon };
    await replaceFile(path, JSON.stringify(file), { mode: fileMode });
  } catch (cause) {
    const { message } = cause as Error;
    throw new HoldfastError('target-unwritable', `cannot write down what is about to be halted: ${message}`, {
      file: path,
      cause,
      remedy: 'nothing was halted; make room there, or name another folder with HOLDFAST_STATE_DIR',
    });
  }
}

/** Removes the journal and the dumps of a run. Harmless when they are gone. */
export async function removeJournal(stateFolder: string, run: string): Promise<void> {
  try {
    await rm(dumpFolderOf(stateFolder, run), { recursive: true, force: true });
    await rm(pathOf(stateFolder, run), { force: true });
    beacons.get(pathOf(stateFolder, run))?.end();
    beacons.delete(pathOf(stateFolder, run));
  } catch (error) {
    // Who may not look into the folder has written nothing there.
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
  }
}

/** The hooks of a run have been run, though not all that it halted is back. Harmless when there is no journal of it. @throws `target-unwritable`. */
export async function forgetHooks(stateFolder: string, run: string): Promise<void> {
  const path = pathOf(stateFolder, run);
  const file = await readOwn(path);
  if (file === undefined || file.hooks.onError.length + file.hooks.after.length === 0) return;
  await replaceFile(path, JSON.stringify({ ...file, hooks: { onError: [], after: [] } } satisfies JournalFile), { mode: fileMode });
}

/** Whether there may be journals: for those who look every second, without a promise or an error when there are none. */
export function mayHaveJournals(stateFolder: string): boolean {
  const folder = folderOf(stateFolder);
  try {
    return existsSync(folder) && readdirSync(folder).length > 0;
  } catch {
    return true;
  }
}

/** All journals there are: quick, when there are none. What isn't a journal of this user's own is left alone. */
export async function findJournals(stateFolder: string): Promise<FoundJournal[]> {
  const folder = folderOf(stateFolder);
  const names = await readdir(folder).catch(() => []);
  const found: FoundJournal[] = [];
  for (const name of names.filter((candidate) => candidate.endsWith(suffix)).sort()) {
    const file = await readOwn(join(folder, name));
    // The name says which run it is: dumps are removed by it.
    if (file === undefined || name !== `${file.run}${suffix}`) continue;
    const { version: _version, atMs = 0, pid: _pid, evidence: _evidence, beacon: _beacon, ...journal } = file;
    found.push({ journal, life: lifeOf(file, folder), atMs });
  }
  return found;
}

async function readOwn(path: string): Promise<JournalFile | undefined> {
  try {
    const { uid, mode } = await lstat(path);
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) return undefined;
    const file = JSON.parse(await readFile(path, 'utf8')) as JournalFile;
    return file.version === 1 && Array.isArray(file.groups) ? file : undefined;
  } catch {
    return undefined;
  }
}

/** The folder is this host's: a process of another boot is dead. */
function lifeOf({ pid, evidence, beacon }: JournalFile, folder: string): FoundJournal['life'] {
  const own = ownEvidence();
  if (evidence === undefined || own === undefined) return 'unknown';
  if (evidence.boot !== own.boot) return 'dead';
  if (pid === process.pid && evidence.start === own.start && evidence.namespaces === own.namespaces) return 'own';
  const life = judgeProcess(pid, evidence, own);
  return life === 'unknown' && beacon !== undefined ? judgeBeacon(folder, beacon, true) : life;
}
