/** A backup by the engine with nothing but defaults, for tests of what comes after it. */
import { setTimeout } from 'node:timers/promises';
import { backUp } from '../src/engine/backup/backup.ts';
import type { Clock } from '../src/model/clock.ts';
import { loadIndex } from '../src/repository/load-index.ts';
import type { Repository } from '../src/repository/repository.ts';
import { listSnapshots } from '../src/repository/snapshots.ts';

export const laneEntry = new URL('../src/cli/lane.ts', import.meta.url);

/** The machine's; sleeping ends with the signal. */
export const machineClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { signal }).catch(() => undefined),
};

/** Backs a directory up as the volume `volume` of the project `project`. @param folder where the repository is. */
export async function backUpDirectory(repository: Repository, folder: string, directory: string, run: string): Promise<void> {
  await backUp({
    repository,
    address: { url: folder },
    laneEntry,
    index: await loadIndex(repository),
    snapshots: await listSnapshots(repository),
    project: 'project',
    volumes: [
      {
        name: 'volume',
        directory,
        allowEmpty: false,
        excludes: {},
        excludeIfPresent: [],
        excludeCaches: false,
        oneFileSystem: true,
        withAtime: false,
        changes: { ignoreInode: false, ignoreCtime: false, force: false },
      },
    ],
    run,
    class: 'manual',
    consistency: 'crash',
    tags: [],
    programVersion: 'test',
    lanes: 1,
    compressionLevel: 3,
    dryRun: false,
    report: () => undefined,
    signal: new AbortController().signal,
    clock: machineClock,
  });
}
