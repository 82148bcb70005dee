/** How far the migration of a volume to another one has come, in the state folder of this host. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { NewVolume } from '../../platform/volume-keeper.ts';
import { ownEvidence } from '../../repository/process-evidence.ts';
import { readJournal, removeJournal, writeJournal } from '../restoring/journal-file.ts';
import { isAlive, type JournalHolder } from '../restoring/restore-journal.ts';
import type { HaltedContainer, HaltWay } from './plan-volume-migration.ts';

/** In their order. */
export const volumeSteps = ['halt', 'save', 'resume', 'guard', 'make', 'copy'] as const;
export type VolumeStep = (typeof volumeSteps)[number];

/** A volume and the Engine that has it: what tells that apart, and where it is reached, for messages. */
export type VolumePlace = { engine: string; location: string; volume: string };
export type VolumeId = Omit<VolumePlace, 'location'>;

export type VolumeJournal = JournalHolder & {
  /** The last step that is done. */
  done: VolumeStep | undefined;
  source: VolumePlace;
  target: VolumePlace;
  way: HaltWay;
  /** Of the source, in the order of halting. */
  halted: HaltedContainer[];
  /** They stay halted: the source is left for good. */
  leaveStopped: boolean;
  /** Undefined when the target was there before. */
  make?: NewVolume;
  /** Snapshot of the source. */
  saved?: string;
  /** Snapshot of what was in the target; undefined when there was nothing. */
  guard?: { run: string; snapshot: string };
  /** The target's Engine could not take all; what, was told. */
  lost?: boolean;
};

const fileOf = (folder: string, source: VolumeId, target: VolumeId): string => {
  const places = [source.engine, source.volume, target.engine, target.volume].join('\n');
  return join(folder, 'migrations', `${createHash('sha256').update(places).digest('hex').slice(0, 16)}.json`);
};

/**
 * Undefined when no migration between the two has begun. @param folder of the state of this host.
 * @throws `volume-in-use` while another process works on it; `target-unwritable`.
 */
export async function readVolumeJournal(folder: string, source: VolumeId, target: VolumeId): Promise<VolumeJournal | undefined> {
  const file = fileOf(folder, source, target);
  const journal = await readJournal<VolumeJournal>(file);
  if (journal === undefined || journal.pid === process.pid || !isAlive(journal, ownEvidence())) return journal;
  throw new HoldfastError('volume-in-use', `volume ${source.volume} is being migrated to ${target.volume} by process ${journal.pid}`, {
    volume: source.volume,
    remedy: `wait until it has finished; if there is no such process any more, remove ${file}`,
  });
}

/** Durably, held by this process. @throws `target-unwritable`. */
export async function writeVolumeJournal(folder: string, journal: VolumeJournal): Promise<void> {
  await mkdir(join(folder, 'migrations'), { recursive: true, mode: 0o700 });
  const { evidence: _, ...rest } = journal;
  const evidence = ownEvidence();
  const held = { ...rest, pid: process.pid, ...(evidence === undefined ? {} : { evidence }) };
  await writeJournal(fileOf(folder, journal.source, journal.target), held);
}

export const removeVolumeJournal = (folder: string, { source, target }: Pick<VolumeJournal, 'source' | 'target'>): Promise<void> =>
  removeJournal(fileOf(folder, source, target));
