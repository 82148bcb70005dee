/** The engine in this process, as the command line composes it, for tests that bring their own storage, clock or signal. */
import { type BackupResult, backUp } from '../../src/engine/backup/backup.ts';
import { checkRepository } from '../../src/engine/maintenance/check.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { EngineEvent } from '../../src/model/events.ts';
import { loadIndex } from '../../src/repository/load-index.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { openProject, type Project, reopenProject } from './project.ts';

const plainLane = new URL('../../src/cli/lane.ts', import.meta.url);

/** The clock of the machine; sleeps end with the process or the signal. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (durationMs, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, durationMs);
      timer.unref();
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

export type EngineOptions = {
  storage?: Storage;
  laneEntry?: URL;
  lanes?: number;
  signal?: AbortSignal;
  clock?: Clock;
  report?: (event: EngineEvent) => void;
};

/** Opens, locks, backs up the volume `data`, and unlocks. */
export async function backUpInProcess(project: Project, options: EngineOptions = {}): Promise<BackupResult> {
  const { storage = createLocalStorage(project.repository), signal = new AbortController().signal, clock = systemClock } = options;
  const repository = options.storage === undefined ? await reopenProject(project) : await openProject(project, storage);
  const held = await lockRepository(repository, { exclusive: false, clock });
  try {
    return await backUp({
      repository,
      address: { url: project.repository },
      laneEntry: options.laneEntry ?? plainLane,
      index: await loadIndex(repository),
      snapshots: await listSnapshots(repository),
      project: 'faults',
      volumes: [
        {
          name: 'data',
          directory: project.volume,
          allowEmpty: false,
          excludes: {},
          excludeIfPresent: [],
          excludeCaches: false,
          oneFileSystem: true,
          withAtime: false,
          changes: { force: false, ignoreCtime: false, ignoreInode: false },
        },
      ],
      run: 'run',
      class: 'manual',
      consistency: 'crash',
      tags: [],
      programVersion: 'holdfast test',
      lanes: options.lanes ?? 1,
      compressionLevel: 1,
      dryRun: false,
      report: options.report ?? (() => undefined),
      signal: AbortSignal.any([signal, held.lost]),
      clock,
    });
  } finally {
    await held.release();
  }
}

/** What Holdfast's check finds wrong: messages. */
export async function findingsOf(project: Project): Promise<string[]> {
  const messages: string[] = [];
  await checkRepository({
    repository: await reopenProject(project),
    address: { url: project.repository },
    laneEntry: plainLane,
    lanes: 1,
    readData: undefined,
    report: (event) => {
      if (event.event === 'finding' && event.finding.severity === 'error') messages.push(event.finding.message);
    },
    signal: new AbortController().signal,
  });
  return messages;
}
