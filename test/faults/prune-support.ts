/** Repositories in which there is something of every kind to prune, and prunes in this process. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { warmLanes } from '../../src/engine/lanes/pool.ts';
import { type PruneResult, prune } from '../../src/engine/maintenance/prune.ts';
import { defaultLimits, type PruneLimits } from '../../src/engine/maintenance/prune-plan.ts';
import { makeRoomForLock } from '../../src/engine/maintenance/recover-space.ts';
import { lockRepository } from '../../src/repository/locks.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { backUpInProcess, type EngineOptions, systemClock } from './engine.ts';
import { fillVolume, manifest, type Project, randomBytesOf, reopenProject } from './project.ts';

const plainLane = new URL('../../src/cli/lane.ts', import.meta.url);

/** Nothing unused may stay: every pack with a hole in it is repacked. */
export const cleanLimits: PruneLimits = { ...defaultLimits, maxUnused: { bytes: 0 } };

export type PruneOptions = EngineOptions & { limits?: PruneLimits; dryRun?: boolean; indexAside?: string };

/** Opens, locks exclusively, prunes, and unlocks. */
export async function pruneInProcess(project: Project, options: PruneOptions = {}): Promise<PruneResult> {
  const { storage = createLocalStorage(project.repository), signal = new AbortController().signal, clock = systemClock } = options;
  const repository = await reopenProject(project, storage);
  const held = await lockRepository(repository, { exclusive: true, clock });
  try {
    return await prune({
      repository,
      address: { url: project.repository },
      laneEntry: options.laneEntry ?? plainLane,
      lanes: options.lanes ?? 1,
      limits: options.limits ?? cleanLimits,
      dryRun: options.dryRun ?? false,
      ...(options.indexAside === undefined ? {} : { indexAside: options.indexAside }),
      report: options.report ?? (() => undefined),
      clock,
      signal: AbortSignal.any([signal, held.lost]),
    });
  } finally {
    await held.release();
  }
}

/** What `prune --recover-no-space` does when there is no room for its lock. */
export async function makeRoomInProcess(project: Project): Promise<void> {
  const warm = warmLanes({ entry: plainLane, count: 1, job: 'prune' });
  try {
    await makeRoomForLock({
      repository: await reopenProject(project, createLocalStorage(project.repository)),
      address: { url: project.repository },
      warmLanes: warm,
      report: () => undefined,
      clock: systemClock,
      signal: new AbortController().signal,
    });
  } finally {
    await warm.close();
  }
}

export function forget(project: Project, snapshot: string): void {
  rmSync(join(project.repository, 'snapshots', snapshot));
}

export const packsOf = (project: Project): string[] =>
  readdirSync(join(project.repository, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => /[0-9a-f]{64}$/.test(name));

/**
 * Backs up a volume that changes, and forgets the first snapshot: packs to keep, to repack and to remove, trees too. @returns what the
 * volume was at each snapshot that is left.
 */
export async function fillRepository(project: Project, bytes = 400_000): Promise<Map<string, string>> {
  const { volume } = project;
  const states = new Map<string, string>();
  const backUp = async (): Promise<string> => {
    const id = (await backUpInProcess(project)).snapshots[0]?.id as string;
    states.set(id, manifest(volume));
    return id;
  };
  fillVolume(volume, bytes, 'first');
  writeFileSync(join(volume, 'only-first'), randomBytesOf('only in the first', bytes / 4));
  const first = await backUp();
  rmSync(join(volume, 'only-first'));
  rmSync(join(volume, 'random-1'));
  rmSync(join(volume, 'folder-2'), { recursive: true });
  writeFileSync(join(volume, 'only-second'), randomBytesOf('only in the second', bytes / 4));
  const second = await backUp();
  rmSync(join(volume, 'only-second'));
  writeFileSync(join(volume, 'folder-1', 'new'), randomBytesOf('new', 50_000));
  await backUp();
  for (const id of [first, second]) {
    forget(project, id);
    states.delete(id);
  }
  writeFileSync(join(volume, 'folder-3', 'newer'), 'newer');
  await backUp();
  return states;
}
