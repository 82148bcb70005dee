import { resolve } from 'node:path';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { findDamagedPacks } from '../../engine/maintenance/check.ts';
import { type IndexRepairStep, repairIndex } from '../../engine/maintenance/repair-index.ts';
import { loadSoundIndex, type PackRepairStep, repairPacks } from '../../engine/maintenance/repair-packs.ts';
import { repairSnapshots, type SnapshotRepairStep } from '../../engine/maintenance/repair-snapshots.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { type PackId, parsePackId, shortId } from '../../model/ids.ts';
import { formatSize } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureLanes, type LaneBudget, type LaneOptions, parseLanes } from '../lane-options.ts';
import { displayText } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { findProject } from '../project.ts';
import { laneEntry, type Session, withRepository, withWarmLanes } from '../session.ts';
import { requireId } from '../snapshot-filter.ts';

type Options = LaneOptions & {
  readAllPacks?: boolean;
  damaged?: boolean;
  keep?: string;
  forget?: boolean;
  dryRun?: boolean;
};

const targets = ['index', 'packs', 'snapshots'] as const;
type Target = (typeof targets)[number];

/** Options that belong to some targets only. */
const optionsOf: Partial<Record<keyof Options, { flag: string; of: readonly Target[] }>> = {
  readAllPacks: { flag: '--read-all-packs', of: ['index'] },
  damaged: { flag: '--damaged', of: ['packs'] },
  keep: { flag: '--keep', of: ['packs', 'snapshots'] },
  forget: { flag: '--forget', of: ['snapshots'] },
};

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<index|packs|snapshots>', 'what to repair; in this order, when several are damaged')
      .argument('[id...]', 'of packs, or the beginnings of ids of snapshots (default: all snapshots)')
      .option('--read-all-packs', 'index: read the headers of all packs, not only of those that the index lacks or contradicts')
      .option('--damaged', 'packs: read all data, and repair the packs that are damaged')
      .option('--keep <directory>', 'packs, snapshots: where a copy of what is removed is kept (default: the current directory)')
      .option('--forget', 'snapshots: remove the damaged ones when what replaces them is stored')
      .option('-n, --dry-run', 'change nothing; say what would be done');
    configureLanes(commander);
    commander.addHelpText(
      'after',
      '\nExit code 3 says that something could not be mended: it is listed. `holdfast check` says what is left.',
    );
  },

  async run(context) {
    const { target, ids } = parseOperands(context);
    const configuration = await findProject(context);
    const budget = parseLanes(context.options);
    const lock = context.options.dryRun ? 'none' : 'exclusive';
    // What an earlier run has cached says nothing of what the storage holds.
    const options = { freshCache: true };
    const repair = (warm?: WarmLanes) =>
      withRepository(context, configuration, lock, (session) => repairs[target]({ context, session, ids, budget, warm }), options);
    return context.options.damaged ? withWarmLanes('check', budget.lanes, repair) : repair();
  },
};

/** @throws `usage`; `snapshot-missing` for what is no id of a snapshot. */
function parseOperands({ operands, options }: CommandContext<Options>): { target: Target; ids: string[] } {
  const [word, ...ids] = operands;
  const target = targets.find((name) => name === word);
  if (target === undefined)
    throw new HoldfastError('usage', `there is nothing to repair called ${JSON.stringify(word)}`, {
      remedy: 'name index, packs or snapshots',
    });
  for (const [name, { flag, of }] of Object.entries(optionsOf)) {
    if (options[name as keyof Options] !== undefined && !of.includes(target))
      throw new HoldfastError('usage', `${flag} is for \`repair ${of.join('` and `repair ')}\``);
  }
  if (target === 'index' && ids.length > 0) throw new HoldfastError('usage', '`repair index` takes no ids: it repairs the whole index');
  if (target === 'snapshots') for (const id of ids) requireId(id);
  if (target === 'packs' && ids.length > 0 === (options.damaged ?? false)) {
    throw new HoldfastError('usage', 'name packs by their ids, or find the damaged ones with --damaged', {
      remedy: '`holdfast check --read-data` names damaged packs',
    });
  }
  return { target, ids };
}

type Task = { context: CommandContext<Options>; session: Session; ids: string[]; budget: LaneBudget; warm: WarmLanes | undefined };

const repairs: Record<Target, (task: Task) => Promise<number>> = { index: mendIndex, packs: mendPacks, snapshots: mendSnapshots };

async function mendIndex({ context, session }: Task): Promise<number> {
  const { options, output } = context;
  const dryRun = options.dryRun ?? false;
  const result = await repairIndex({
    repository: session.repository,
    readAllPacks: options.readAllPacks ?? false,
    dryRun,
    onStep: (step) => tell(context, 'index', step, indexLine(step, dryRun)),
    onProgress: progressOf(context),
    signal: session.signal,
  });
  const { packsWritten, indexFilesKept, indexFilesRemoved, headersRead } = result;
  const would = dryRun ? 'would be ' : '';
  const changes = `${formatCount(packsWritten, 'pack')} ${would}indexed anew, ${formatCount(indexFilesRemoved, 'index file')} ${would}removed, ${indexFilesKept} kept`;
  const nothing = packsWritten + indexFilesRemoved === 0;
  output.line(`${nothing ? 'the index needs no change' : changes}; ${formatCount(headersRead, 'header')} read`);
  return finish(context, 'index', result);
}

function indexLine(step: IndexRepairStep, dryRun: boolean): string {
  switch (step.action) {
    case 'add-pack':
      return `pack ${step.pack} (${formatCount(step.blobs, 'blob')}) was in no index: ${dryRun ? 'would be ' : ''}added`;
    case 'correct-pack':
      return `pack ${step.pack}: ${dryRun ? 'would be ' : ''}corrected after its header: ${step.difference}`;
    case 'drop-pack':
      return `pack ${step.pack} is missing: its ${formatCount(step.blobs, 'blob')} ${dryRun ? 'would ' : ''}leave the index`;
    case 'keep-pack':
      return `pack ${step.pack} stays as it is (${formatCount(step.blobs, 'blob')} in the index): its header cannot be read: ${step.reason}`;
    case 'remove-index':
      return `${step.file} ${step.damaged ? 'is damaged' : 'is replaced'}: ${dryRun ? 'would be ' : ''}removed`;
  }
}

async function mendPacks({ context, session, ids, budget, warm }: Task): Promise<number> {
  const { options, output } = context;
  const dryRun = options.dryRun ?? false;
  const wanted = options.damaged ? await damagedPacks(context, session, budget, warm as WarmLanes) : ids.map(requirePackId);
  const { copies, ...result } = await repairPacks({
    repository: session.repository,
    packs: wanted,
    keepFolder: resolve(context.cwd, options.keep ?? '.'),
    dryRun,
    onStep: (step) => tell(context, 'packs', step, packLine(step, dryRun)),
    onLoss: (finding) => output.report({ event: 'finding', finding }),
    onProgress: progressOf(context),
    signal: session.signal,
  });
  const { packsRepaired, blobsSaved, blobsLost } = result;
  const lost = blobsLost === 0 ? 'nothing is lost' : `${formatCount(blobsLost, 'blob')} lost`;
  const verb = dryRun ? 'would be repaired' : 'repaired';
  output.line(
    packsRepaired === 0
      ? 'no pack needs a repair'
      : `${formatCount(packsRepaired, 'pack')} ${verb}, ${formatCount(blobsSaved, 'blob')} saved, ${lost}`,
  );
  if (copies.length > 0) output.note(`Copies of the removed packs are in ${displayText(resolve(context.cwd, options.keep ?? '.'))}`);
  return finish(context, 'packs', result);
}

function requirePackId(text: string): PackId {
  const id = parsePackId(text.replace(/^data\//, ''));
  if (id !== undefined) return id;
  throw new HoldfastError('usage', `${JSON.stringify(text)} is no pack's id`, {
    remedy: 'give all 64 characters, as `holdfast check` prints them',
  });
}

async function damagedPacks(
  { output }: CommandContext<Options>,
  { repository, address, signal }: Session,
  { lanes, memoryBytes }: LaneBudget,
  warm: WarmLanes,
): Promise<PackId[]> {
  const memory = memoryBytes === undefined ? {} : { memoryBytes };
  const options = { repository, address, laneEntry, warmLanes: warm, lanes, ...memory, report: output.report, signal };
  const { damaged, unreadable } = await findDamagedPacks(options, await loadSoundIndex(repository));
  // Those are looked at again: if they still cannot be read, it is said of each that it stays.
  return [...damaged, ...unreadable];
}

function packLine(step: PackRepairStep, dryRun: boolean): string {
  switch (step.action) {
    case 'salvage-pack': {
      const lost =
        step.lost === 0
          ? ''
          : `, ${formatCount(step.lost, 'blob')} damaged${step.elsewhere === 0 ? '' : ` (${step.elsewhere} of them are in other packs too)`}`;
      return `pack ${step.pack}: ${formatCount(step.saved, 'intact blob')} (${formatSize(step.savedBytes)}) ${dryRun ? 'would be ' : ''}stored anew${lost}; ${dryRun ? 'a copy would be kept as' : 'copy kept as'} ${displayText(step.copy)}`;
    }
    case 'intact-pack':
      return `pack ${step.pack} is intact; if \`check\` says otherwise, the index is wrong: \`holdfast repair index --read-all-packs\``;
    case 'keep-pack':
      return `pack ${step.pack} stays: ${displayText(step.reason)}`;
  }
}

async function mendSnapshots({ context, session, ids }: Task): Promise<number> {
  const { options, output } = context;
  const dryRun = options.dryRun ?? false;
  const result = await repairSnapshots({
    repository: session.repository,
    snapshots: ids,
    forget: options.forget ?? false,
    keepFolder: resolve(context.cwd, options.keep ?? '.'),
    dryRun,
    onStep: (step) => tell(context, 'snapshots', step, snapshotLine(step, dryRun)),
    onProgress: progressOf(context),
    signal: session.signal,
  });
  const { damaged, hopeless, forgotten, repaired } = result;
  for (const { snapshot, replacement } of repaired) output.line(`snapshot ${shortId(snapshot)} is repaired as ${shortId(replacement)}`);
  const nothing = damaged + hopeless === 0;
  const verdict = `${formatCount(damaged, 'snapshot')} ${dryRun ? 'would be ' : ''}repaired, ${hopeless} beyond repair, ${forgotten} removed`;
  output.line(nothing ? `nothing is missing in ${formatCount(result.examined, 'snapshot')}` : verdict);
  return finish(context, 'snapshots', result);
}

const changeTexts = {
  'content-lost': 'lacks content, and is shorter now',
  'size-corrected': 'has the size of its content now',
  'directory-lost': 'is empty now: what was in it is lost',
  'entry-removed': 'is gone: it is of no kind that can be restored',
  'entries-removed': 'lacks entries that made no sense',
} as const;
const pathsShown = 20;

function snapshotLine(step: SnapshotRepairStep, dryRun: boolean): string {
  const name = `snapshot ${shortId(step.snapshot)}${step.volume === undefined ? '' : ` of ${displayText(step.volume)}`}`;
  const removed = step.forget ? `; ${dryRun ? 'would be ' : ''}removed` : '';
  switch (step.action) {
    case 'rewrite-snapshot': {
      const paths = step.changes.slice(0, pathsShown).map(({ path, change }) => `\n  ${path} ${changeTexts[change]}`);
      const more = step.count > pathsShown ? [`\n  and ${formatCount(step.count - pathsShown)} more`] : [];
      return `${name} lacks something; ${dryRun ? 'would be ' : ''}written anew${removed}${[...paths, ...more].join('')}`;
    }
    case 'repaired-before':
      return `${name} lacks something; it was written anew before, as ${shortId(step.replacement)}${removed}`;
    case 'hopeless-snapshot':
      return `${name} is beyond repair: ${displayText(step.reason)}${step.forget ? `${removed}, with a copy in ${displayText(step.copy as string)}` : '; --forget removes it'}`;
  }
}

function tell({ output }: CommandContext<Options>, repair: Target, step: object, line: string): void {
  output.document({ repair, ...step });
  output.line(line);
}

/** Nobody waits long for what takes less than a moment: progress is told of by the renderer's own rate. */
const progressOf =
  ({ output }: CommandContext<Options>) =>
  (done: number, total: number): void =>
    output.report({ event: 'progress', volume: '', filesDone: done, bytesDone: 0, filesTotal: total });

function finish({ output, options }: CommandContext<Options>, repair: Target, result: { complete: boolean }): number {
  const exitCode = result.complete ? exitCodes.done : exitCodes.incomplete;
  output.document({ repair, action: 'done', dryRun: options.dryRun ?? false, ...result, exitCode });
  return exitCode;
}
