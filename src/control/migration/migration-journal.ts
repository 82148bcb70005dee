/** How far a migration has come, in a file beside the compose file: what was killed is carried on or undone from it. */
import { join } from 'node:path';
import { readJournal, removeJournal, writeJournal } from '../restoring/journal-file.ts';
import type { ContainerName } from '../restoring/start-again.ts';
import type { MigratedVolume } from './plan-migration.ts';
import { carryOnSteps, type StepActions } from './steps.ts';

/** In their order. Each is repeated when it may have been interrupted; none does harm when it is. */
export const migrationSteps = ['stop', 'guard', 'make', 'copy', 'rewrite', 'start'] as const;
export type MigrationStep = (typeof migrationSteps)[number];

export type MigrationJournal = {
  project: string;
  /** The last step that is done. */
  done: MigrationStep | undefined;
  volumes: MigratedVolume[];
  /** Compose files, with what they held and what they hold after the rewriting. */
  files: { path: string; backup: string; before: string; after: string }[];
  /** Containers that ran, in the order of stopping. */
  stopped: ContainerName[];
  /** Services that ran: they are started. */
  services: string[];
  owner: { uid: number; gid: number } | undefined;
  /** Once the guard is there: its run, and the snapshot of each volume's key. */
  guard?: { run: string; snapshots: Record<string, string> };
};

const fileOf = (folder: string) => join(folder, '.holdfast-migration.json');

export const isDone = ({ done }: MigrationJournal, step: MigrationStep): boolean =>
  done !== undefined && migrationSteps.indexOf(done) >= migrationSteps.indexOf(step);

/** Undefined when no migration has begun in the folder. @throws `target-unwritable`. */
export const readMigration = (folder: string): Promise<MigrationJournal | undefined> => readJournal<MigrationJournal>(fileOf(folder));
/** Durably, readable by its owner alone: compose files may hold secrets. @throws `target-unwritable`. */
export const writeMigration = (folder: string, journal: MigrationJournal): Promise<void> => writeJournal(fileOf(folder), journal);
export const removeMigration = (folder: string): Promise<void> => removeJournal(fileOf(folder));

/** Does the steps that are not done yet, each durably noted before the next one begins. */
export const carryOn = (
  folder: string,
  begun: MigrationJournal,
  actions: StepActions<MigrationStep, MigrationJournal>,
  onStep: (step: MigrationStep) => void,
): Promise<MigrationJournal> =>
  carryOnSteps({ steps: migrationSteps, begun, actions, onStep, write: (journal) => writeMigration(folder, journal) });
