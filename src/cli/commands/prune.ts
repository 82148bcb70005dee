import { resolve } from 'node:path';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { type PruneResult, prune } from '../../engine/maintenance/prune.ts';
import {
  defaultLimits,
  type MaxUnused,
  type PlannedPack,
  type PruneLimits,
  type PrunePlanSummary,
} from '../../engine/maintenance/prune-plan.ts';
import { makeRoomForLock } from '../../engine/maintenance/recover-space.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { formatDuration, formatSize, parseSize } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureLanes, type LaneOptions, parseLanes } from '../lane-options.ts';
import type { Output } from '../output/output.ts';
import { formatCount, formatPercent } from '../output/units.ts';
import { findProject } from '../project.ts';
import { renewLocks } from '../renew-locks.ts';
import { laneEntry, type Session, withRepository, withWarmLanes } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = LaneOptions & {
  maxUnused?: string;
  maxRepackSize?: string;
  repackSmall?: boolean;
  repackUncompressed?: boolean;
  repackCacheableOnly?: boolean;
  dryRun?: boolean;
  lock: boolean;
  recoverNoSpace?: string;
};

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--max-unused <limit>', 'how much unused data may stay: a share (`5%`), a size (`500M`), or `unlimited`', '5%')
      .option('--max-repack-size <size>', 'write at most this much anew (`10Gi`); `0`: only remove whole packs')
      .option('--repack-small', 'join packs below 80% of the usual size')
      .option('--repack-uncompressed', 'compress what old programs stored uncompressed')
      .option('--repack-cacheable-only', 'write only packs of metadata anew')
      .option('-n, --dry-run', 'write and remove nothing; print the plan (with --verbose pack by pack)')
      .option('--no-lock', 'with --dry-run: write no lock, for a repository that cannot be written')
      .option('--recover-no-space <directory>', 'for a full disk: remove first, and keep the index in this directory elsewhere meanwhile');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nRemoves what no snapshot needs, and extends the object locks of what stays. Nobody else can work on the repository meanwhile.',
    );
  },

  async run(context) {
    const { lock, dryRun, recoverNoSpace } = context.options;
    if (!lock && !dryRun) {
      throw new HoldfastError('usage', 'a prune needs its lock: --no-lock is for --dry-run', {
        remedy: 'on a full disk, use --recover-no-space; on another storage, leave --no-lock out',
      });
    }
    const limits = { ...parseLimits(context.options), ...(recoverNoSpace === undefined ? {} : { maxRepackBytes: 0 }) };
    const { lanes } = parseLanes(context.options);
    await withWarmLanes('prune', lanes, (warm) => pruneWith(context, limits, lanes, warm));
    return exitCodes.done;
  },
};

/** @throws `usage` */
function parseLimits({ maxUnused, maxRepackSize, repackSmall, repackUncompressed, repackCacheableOnly }: Options): PruneLimits {
  return {
    maxUnused: maxUnused === undefined ? defaultLimits.maxUnused : parseMaxUnused(maxUnused),
    maxRepackBytes: maxRepackSize === undefined ? defaultLimits.maxRepackBytes : sizeOf('--max-repack-size', maxRepackSize),
    repackSmall: repackSmall ?? false,
    repackUncompressed: repackUncompressed ?? false,
    repackCacheableOnly: repackCacheableOnly ?? false,
  };
}

function parseMaxUnused(text: string): MaxUnused {
  if (text === 'unlimited') return 'unlimited';
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  if (percent === undefined) return { bytes: sizeOf('--max-unused', text, 'a share such as 5%, `unlimited`, or a size') };
  if (Number(percent) >= 100) throw new HoldfastError('usage', `--max-unused takes less than 100%, or \`unlimited\`, not ${text}`);
  return { percent: Number(percent) };
}

function sizeOf(option: string, text: string, takes = 'a size'): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new HoldfastError('usage', `${option} takes ${takes} such as 500M or 10Gi, not ${JSON.stringify(text)}`);
  return bytes;
}

async function pruneWith(context: CommandContext<Options>, limits: PruneLimits, lanes: number, warm: WarmLanes): Promise<void> {
  const { output, options, cwd } = context;
  const { dryRun = false, recoverNoSpace } = options;
  const configuration = await findProject(context);
  // A dry run reads what a prune would read; whoever works beside it makes the plan at worst a little older.
  const lock = options.lock ? (dryRun ? 'shared' : 'exclusive') : 'none';
  const work = async ({ repository, address, label, signal }: Session) => {
    output.note(`${dryRun ? 'Planning to prune' : 'Pruning'} ${label}`);
    const result = await prune({
      repository,
      address,
      laneEntry,
      warmLanes: warm,
      lanes,
      limits,
      dryRun,
      ...(recoverNoSpace === undefined ? {} : { indexAside: resolve(cwd, recoverNoSpace) }),
      onPlan: (summary, packs) => showPlan(output, summary, packs, dryRun),
      report: output.report,
      clock: systemClock,
      signal,
    });
    if (dryRun) return;
    showResult(output, result);
    await renewLocks(address, output, signal);
  };
  await withRepository(context, configuration, lock, work, dryRun ? {} : waysToLock(context, lanes));
}

/** What is done, and else said, when the storage is too full for a lock. */
function waysToLock({ options, output }: CommandContext<Options>, lanes: number) {
  if (options.recoverNoSpace === undefined) {
    return { lockRemedy: 'or, on a full disk, give --recover-no-space DIRECTORY, a folder on another disk' };
  }
  return {
    // The lanes that are warm are those of the prune itself.
    makeRoom: (session: Session) =>
      withWarmLanes('prune', lanes, (warm) => makeRoomForLock({ ...session, warmLanes: warm, report: output.report, clock: systemClock })),
    lockRemedy: 'see docs/operations.md, "A full disk"',
  };
}

function showPlan(output: Output, plan: PrunePlanSummary, packs: Iterable<PlannedPack>, dryRun: boolean): void {
  output.document({ event: 'prune-plan', dryRun, plan });
  if (output.verbose) for (const pack of packs) showPack(output, pack);
  const say = dryRun ? output.line : output.note;
  for (const line of planLines(plan)) say(line);
}

function showPack(output: Output, pack: PlannedPack): void {
  output.document({ event: 'prune-pack', ...pack });
  const { action, kind, sizeBytes, unusedBytes } = pack;
  output.note(`${action} ${shortId(pack.pack)}: ${kind ?? 'unknown'}, ${formatSize(sizeBytes)}, ${formatSize(unusedBytes)} unused`);
}

function planLines({ packs, blobs, bytes, indexFiles }: PrunePlanSummary): string[] {
  const left = bytes.total - bytes.free;
  return [
    `used:    ${formatCount(blobs.used, 'blob')}; unused: ${formatCount(blobs.unused)}, stored twice: ${formatCount(blobs.duplicate)}`,
    `keep:    ${formatCount(packs.keep, 'pack')}`,
    `repack:  ${formatCount(packs.repack, 'pack')} (${formatSize(bytes.repack)}), from which ${formatCount(blobs.repack, 'blob')} are copied`,
    `remove:  ${formatCount(packs.remove, 'pack')}, and ${formatCount(packs.unreferenced)} (${formatSize(bytes.unreferenced)}) that no index names`,
    ...(packs.missing > 0
      ? [`forget:  ${formatCount(packs.missing, 'pack')} that the index names, that are missing, and that nothing needs`]
      : []),
    `index:   ${formatCount(indexFiles.obsolete)} of ${formatCount(indexFiles.total, 'file')} are replaced`,
    `frees:   ${formatSize(bytes.free)} of ${formatSize(bytes.total)}; ${formatSize(bytes.unusedLeft)} unused stay (${formatPercent(bytes.unusedLeft, left)})`,
  ];
}

function showResult(output: Output, result: PruneResult): void {
  const { plan: _, ...done } = result;
  output.document({ event: 'pruned', result: done });
  const { packsRemoved, packsWritten, bytesFreed, bytesWritten, durationMs } = done;
  const written = packsWritten === 0 ? '' : `, ${formatCount(packsWritten, 'pack')} written (${formatSize(bytesWritten)})`;
  const freed = bytesFreed >= 0 ? `${formatSize(bytesFreed)} freed` : `${formatSize(-bytesFreed)} more than before`;
  output.line(`${freed}: ${formatCount(packsRemoved, 'pack')} removed${written} in ${formatDuration(durationMs)}`);
}
