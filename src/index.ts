/** The public library: what a program needs to read and write repositories as the command line does. The only file that re-exports. */
export { type BackupOptions, type BackupResult, backUp } from './engine/backup/backup.ts';
export type { VolumeToBackUp } from './engine/backup/read-volume.ts';
export { checkRepository } from './engine/maintenance/check.ts';
export type { RestoreOptions } from './engine/restore/options.ts';
export { restoreVolume } from './engine/restore/restore.ts';
export { catalogue, type ErrorCode, exitCodes, HoldfastError } from './model/errors.ts';
export type { EngineEvent, Report } from './model/events.ts';
export type { Snapshot, SnapshotIdentity, StoredSnapshot } from './model/snapshot.ts';
export { loadIndex } from './repository/load-index.ts';
export { createRepository, openRepository, type Repository } from './repository/repository.ts';
export { listSnapshots } from './repository/snapshots.ts';
export type { Storage } from './storage/storage.ts';
