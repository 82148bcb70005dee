/** The guard of a restore: what is about to be overwritten is saved, and the command named that brings it back. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from '../control/configuration/configuration.ts';
import { inspectRoot } from '../engine/backup/root.ts';
import { restoreMarkerName } from '../engine/restore/marker.ts';
import { HoldfastError } from '../model/errors.ts';
import { shortId } from '../model/ids.ts';
import type { CommandContext } from './command.ts';
import { beforeRestoreTag, type Guard, type GuardedVolume, streamedVolume, takeGuard } from './guard-snapshots.ts';
import type { Target, TargetOptions, Targets } from './restore-targets.ts';
import type { Session } from './session.ts';

export type GuardChoices = TargetOptions & { guard: boolean; lock: boolean };
type Context = CommandContext<GuardChoices>;

/** Missing counts as empty; half restored doesn't. */
export function isEmptyDirectory(volume: string, directory: string | undefined): boolean {
  if (directory === undefined) return true;
  try {
    return inspectRoot(volume, directory, false).empty;
  } catch (error) {
    return error instanceof HoldfastError && error.code === 'volume-missing';
  }
}

/**
 * Saves what is about to be overwritten, once volumes without a directory are opened. Nothing to save is no guard, and neither is what an
 * interrupted restore has left.
 */
export async function guardTargets(
  { options, output }: Context,
  session: Session,
  configuration: Configuration | undefined,
  { targets, inPlace, docker }: Targets,
  { lanes }: { lanes: number },
): Promise<Guard | undefined> {
  if (!inPlace || !options.guard) return undefined;
  const elsewhere = options.toVolume !== undefined || options.toProject !== undefined;
  const volumes: GuardedVolume[] = [];
  for (const target of targets) {
    const { volume } = target.choice;
    const found = await contentOf(target, session.signal);
    if (found === 'unfinished') output.warning(`${volume} holds an unfinished restore: no guard snapshot is taken of that`);
    else if (found !== undefined) volumes.push({ ...found, name: elsewhere ? (target.engineVolume as string) : volume });
  }
  if (volumes.length === 0) return undefined;
  if (!options.lock) {
    output.warning('no guard snapshot is taken, as the repository is not to be written (--no-lock)');
    return undefined;
  }
  return takeGuard(session, {
    project: configuration?.project ?? options.toProject ?? 'holdfast',
    volumes,
    consistency: docker === undefined ? 'crash' : 'stopped',
    tags: [beforeRestoreTag],
    lanes,
    report: output.report,
  });
}

/** Undefined when there is nothing to save. */
async function contentOf({ choice, directory, engineVolume, stream }: Target, signal: AbortSignal) {
  const { volume } = choice;
  if (stream !== undefined) {
    if ((await stream.kindOf(restoreMarkerName)) !== undefined) return 'unfinished';
    return (await stream.isEmpty(signal)) ? undefined : streamedVolume(volume, engineVolume as string, stream);
  }
  if (directory === undefined || isEmptyDirectory(volume, directory)) return undefined;
  return (await hasMarker(directory)) ? 'unfinished' : { name: volume, directory };
}

/** Whether a restore into a directory has begun and not ended. */
export const hasMarker = (directory: string): Promise<boolean> =>
  lstat(join(directory, restoreMarkerName)).then(
    () => true,
    () => false,
  );

/** Whether an Engine's address holds no password. */
export const isSayable = (address: string): boolean => !/:[^/@]*@/.test(address.replace(/^\w+:\/\//, ''));

/** Names the guard, and the command that brings back what was there. */
export function tellUndo(
  { options, output, global }: Context,
  { targets }: Targets,
  run: string,
  guard: Guard | undefined,
  { path }: { path: string | undefined },
): void {
  const words = ['holdfast restore'];
  const only = guard?.snapshots.length === 1 ? guard.snapshots[0] : undefined;
  if (options.toVolume !== undefined && only !== undefined) words.push('--at', shortId(only.id), '--to-volume', options.toVolume);
  else if (options.toProject === undefined) words.push(...targets.map(({ choice }) => choice.volume), '--at', run);
  else words.push('--at', run, '--to-project', options.toProject);
  // What the restore brings anew is not in the guard: only with --delete does it go.
  words.push('--delete');
  if (global.repository !== undefined && !/[:@]/.test(global.repository)) words.push('--repository', global.repository);
  if (global.dockerHost !== undefined && isSayable(global.dockerHost)) words.push('--docker-host', global.dockerHost);
  const undo = words.join(' ');
  output.document({ event: 'guard', run, snapshots: guard?.snapshots ?? [], undo });
  output.line(`guard ${run}; to undo the restore: ${undo}`);
  if (path !== undefined) output.note('the guard holds the whole volume; add --path to bring back a part of it only');
}
