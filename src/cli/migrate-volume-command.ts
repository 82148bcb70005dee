/** `migrate volume`: what it is asked, what it shows. */
import { type HaltWay, haltWays } from '../control/migration/plan-volume-migration.ts';
import type { VolumeJournal, VolumeStep } from '../control/migration/volume-journal.ts';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { SnapshotId } from '../model/ids.ts';
import { shortId } from '../model/ids.ts';
import type { CommandContext } from './command.ts';
import {
  beginVolumeMigration,
  continueVolumeMigration,
  type Ends,
  type FoundVolumeMigration,
  findJournal,
  findVolumeMigration,
  undoVolumeMigration,
  type VolumeMigrationOptions,
  withEnds,
} from './migrate-volume.ts';
import { isSayable } from './restore-guard.ts';

export type VolumeOptions = {
  toDockerHost?: string;
  toContext?: string;
  cut?: string;
  leaveStopped?: boolean;
  replace?: boolean;
  undo?: boolean;
  dryRun?: boolean;
};
type Context = CommandContext<VolumeOptions>;

/** @throws `usage`; as the steps. */
export async function migrateVolume(context: Context, names: readonly string[], healthTimeoutMs: number): Promise<number> {
  const { options } = context;
  const asked = parse(options, names, healthTimeoutMs);
  return withEnds(context, asked, async (ends) => {
    const begun = await findJournal(context, ends, asked);
    if (options.undo) return undo(context, ends, asked, begun);
    if (begun === undefined) return begin(context, ends, asked);
    if (options.dryRun) {
      throw new HoldfastError(
        'migration-unfinished',
        `a migration of ${asked.source} has begun, and come to "${begun.done ?? 'nothing'}"`,
        {
          remedy: 'run it without --dry-run to carry it on, or with --undo',
        },
      );
    }
    context.output.note('carrying on with the migration that has begun');
    return carryOn(context, ends, begun, asked);
  });
}

function parse(options: VolumeOptions, [source, target, ...more]: readonly string[], healthTimeoutMs: number): VolumeMigrationOptions {
  if (source === undefined || target === undefined || more.length > 0)
    throw new HoldfastError('usage', 'migrate volume takes two names: of the source, and of the target');
  const { toDockerHost, toContext, cut = 'stop', leaveStopped = false, replace = false } = options;
  if (toDockerHost !== undefined && toContext !== undefined)
    throw new HoldfastError('usage', 'only one of --to-docker-host and --to-context can be given');
  const way = haltWays.find((known) => known === cut);
  if (way === undefined) throw new HoldfastError('usage', `--cut takes ${haltWays.join(', ')}, not ${JSON.stringify(cut)}`);
  if (leaveStopped && way !== 'stop') throw new HoldfastError('usage', '--leave-stopped needs --cut stop');
  return { source, target, toDockerHost, toContext, way, leaveStopped, replace, healthTimeoutMs };
}

async function begin(context: Context, ends: Ends, asked: VolumeMigrationOptions): Promise<number> {
  const plan = await findVolumeMigration(context, ends, asked);
  show(context, plan, asked);
  if (context.options.dryRun) return exitCodes.done;
  return carryOn(context, ends, await beginVolumeMigration(context, ends, plan, asked), asked);
}

async function carryOn(context: Context, ends: Ends, begun: VolumeJournal, asked: VolumeMigrationOptions): Promise<number> {
  const { output } = context;
  const { source, target, guard, saved, leaveStopped, halted, lost } = await continueVolumeMigration(
    context,
    ends,
    begun,
    asked.healthTimeoutMs,
    (step) => {
      output.note(texts[step]);
      output.document({ event: 'migration', step });
    },
  );
  const undo = guard && undoOf(context, guard.snapshot, asked);
  output.document({
    event: 'migration',
    step: 'done',
    volumes: [target.volume],
    snapshot: saved,
    ...(guard && { guard: guard.run, undo }),
  });
  const but = lost ? ', but for what is named above' : '';
  output.line(`${target.volume} at ${target.location} holds what ${source.volume} held${but}, verified; ${source.volume} is as it was`);
  if (guard !== undefined) output.line(`guard ${guard.run}; to put back what ${target.volume} held: ${undo}`);
  if (leaveStopped && halted.length > 0) output.line(`left stopped: ${halted.map(({ name }) => name).join(', ')}`);
  return lost ? exitCodes.incomplete : exitCodes.done;
}

function undoOf({ global }: Context, snapshot: string, { target, toDockerHost, toContext }: VolumeMigrationOptions): string {
  const words = ['holdfast restore --at', shortId(snapshot as SnapshotId), '--to-volume', target, '--delete'];
  const host = toDockerHost ?? (toContext === undefined ? global.dockerHost : undefined);
  if (host !== undefined && isSayable(host)) words.push('--docker-host', host);
  return `${toContext === undefined ? '' : `DOCKER_CONTEXT=${toContext} `}${words.join(' ')}`;
}

async function undo(context: Context, ends: Ends, asked: VolumeMigrationOptions, begun: VolumeJournal | undefined): Promise<number> {
  const { options, output } = context;
  if (begun === undefined) {
    throw new HoldfastError('usage', `no migration of ${asked.source} to ${asked.target} was interrupted`, {
      remedy: 'one that is complete is undone by hand: the source is as it was, and what the target held is in the guard snapshot',
    });
  }
  if (options.dryRun) {
    for (const { name } of begun.halted) output.line(`would start container ${name}`);
    if (begun.make !== undefined) output.line(`would remove the volume ${begun.target.volume}, if it is there`);
    if (begun.guard !== undefined) output.line(`would put back what ${begun.target.volume} held`);
    return exitCodes.done;
  }
  await undoVolumeMigration(context, ends, begun, asked.healthTimeoutMs);
  output.document({ event: 'migration', step: 'undone', kept: [] });
  output.line('everything is as it was before');
  return exitCodes.done;
}

const texts: Record<VolumeStep, string> = {
  halt: 'halting what uses the source',
  save: 'taking a snapshot of the source',
  resume: 'bringing back what was halted',
  guard: 'taking a guard snapshot of what the target holds',
  make: 'making the target',
  copy: 'copying, and reading back what was copied',
};

function show(
  { output }: Context,
  { source, make, halt, holdsSomething, notes }: FoundVolumeMigration,
  asked: VolumeMigrationOptions,
): void {
  const { target, way, leaveStopped } = asked;
  const verb: Record<HaltWay, string> = { stop: leaveStopped ? 'stop' : 'stop, and start again,', pause: 'pause', live: '' };
  const containers = halt.map(({ name }) => name);
  output.document({
    event: 'volume-migration-plan',
    source: source.name,
    target,
    make: make !== undefined,
    replaces: holdsSomething,
    cut: way,
    containers,
  });
  output.line(
    `volume ${source.name} -> ${make === undefined ? '' : 'new '}volume ${target}${holdsSomething ? ', whose content is replaced' : ''}`,
  );
  for (const name of containers) output.line(`${verb[way]} container ${name}`);
  for (const note of notes) output.warning(note);
}
