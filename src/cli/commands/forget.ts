import type { Configuration } from '../../control/configuration/configuration.ts';
import { forgetSnapshots } from '../../engine/maintenance/forget.ts';
import type { BrakedDecision } from '../../engine/maintenance/retention-brake.ts';
import type { ResticGrouping } from '../../engine/maintenance/snapshot-groups.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { identityFromTags } from '../../model/snapshot.ts';
import { refuseOthers } from '../../repository/locks.ts';
import { listSnapshots } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { brakeWarnings, planByPolicy, planNamed, withoutBrake } from '../forget-plan.ts';
import { configureKeep, type KeepOptions } from '../keep-options.ts';
import { displayText } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { findProject } from '../project.ts';
import { type Session, withRepository } from '../session.ts';
import { configureFilter, type FilterOptions, filterOf, isFiltered, snapshotsOfIds, warnOfNone } from '../snapshot-filter.ts';
import { systemClock } from '../system-clock.ts';

type Options = FilterOptions & KeepOptions & { groupBy?: string; prune?: boolean; force?: boolean; dryRun?: boolean; lock: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander.argument('[snapshot...]', 'snapshots to forget, whatever the policy says; without any, those that no rule keeps');
    configureKeep(commander);
    configureFilter(commander);
    commander
      .option(
        '--group-by <what>',
        "of other tools' snapshots: by host, paths, tags (commas between; '' for none) a policy applies",
        'host,paths',
      )
      .option('--prune', 'prune afterwards, when something was forgotten')
      .option('--force', 'forget what the brake would hold, too')
      .option('-n, --dry-run', 'remove nothing; say of each snapshot whether it would stay, and why')
      .option('--no-lock', 'write no lock, for a disk without room for one; refused while others are at work');
    commander.addHelpText(
      'after',
      '\nWithout --keep options, the retention of holdfast.yaml decides. Snapshots that look wrong never let good ones go (the brake);\n' +
        'the newest good one of a volume always stays. Space is freed by `holdfast prune`.',
    );
  },

  async run(context) {
    const { operands, options } = context;
    if (operands.length > 0 && (isFiltered(options) || Object.keys(options).some((name) => name.startsWith('keep')))) {
      throw new HoldfastError('usage', 'snapshots are named, or chosen by a policy and filters, not both', {
        remedy: 'name the snapshots alone',
      });
    }
    const grouping = groupingOf(options.groupBy ?? 'host,paths');
    const configuration = await findProject(context);
    const lock = options.dryRun || !options.lock ? 'none' : 'exclusive';
    const { exitCode, forgotten } = await withRepository(context, configuration, lock, async (session) => {
      // Whoever begins to work meanwhile loses nothing: what snapshots need stays until a prune.
      if (!options.dryRun && !options.lock) await refuseOthers(session.repository, systemClock);
      return forget(context, configuration, grouping, session);
    });
    if (options.prune) await pruneAfter(context, forgotten);
    return exitCode;
  },
};

/** @throws `usage`. */
function groupingOf(text: string): ResticGrouping {
  const parts = text.split(',').filter((part) => part !== '');
  const unknown = parts.find((part) => !/^(hosts?|paths?|tags?)$/.test(part));
  if (unknown !== undefined) throw new HoldfastError('usage', `--group-by takes host, paths and tags, not ${JSON.stringify(unknown)}`);
  const has = (name: string) => parts.some((part) => part.startsWith(name));
  return { host: has('host'), paths: has('path'), tags: has('tag') };
}

async function forget(
  context: CommandContext<Options>,
  configuration: Configuration | undefined,
  grouping: ResticGrouping,
  { repository, signal }: Session,
): Promise<{ exitCode: number; forgotten: number }> {
  const { operands, options, output, cwd } = context;
  const { dryRun = false, force = false } = options;
  const all = await listSnapshots(repository, (name) =>
    output.warning(`the snapshot file ${name} is damaged, and left alone; run \`holdfast check\``),
  );
  const braked =
    operands.length > 0
      ? planNamed(all, snapshotsOfIds(all, operands), configuration, systemClock.now())
      : planByPolicy({
          all,
          chosen: all.filter(filterOf(options, configuration, cwd)),
          configuration,
          keep: options,
          grouping,
          now: systemClock.now(),
        });
  if (operands.length === 0) {
    warnOfNone(
      output,
      options,
      braked.map(({ snapshot }) => snapshot),
    );
  }
  const decisions = force ? withoutBrake(braked) : braked;
  sayBrake(context, braked, force);
  show(context, decisions);
  const doomed = decisions.filter(({ keep }) => !keep).map(({ snapshot }) => snapshot);
  let failed = 0;
  if (!dryRun) {
    failed = await forgetSnapshots({
      repository,
      snapshots: doomed,
      onFailed: (snapshot, error) =>
        output.error(new HoldfastError(error.code, `snapshot ${shortId(snapshot.id)} was not forgotten: ${error.message}`, error)),
      signal,
    });
  }
  const forgotten = doomed.length - failed;
  const held = decisions.filter((decision) => decision.held).length;
  const kept = decisions.length - doomed.length;
  output.document({ forgotten, kept, held, failed, dryRun });
  const holds = held === 0 ? '' : ` (${formatCount(held)} by the brake)`;
  output.line(`${formatCount(forgotten, 'snapshot')} ${dryRun ? 'would be ' : ''}forgotten, ${formatCount(kept)} kept${holds}`);
  if (forgotten > 0 && !dryRun && !options.prune) output.note('run `holdfast prune` to free what they alone needed');
  // Who named a snapshot was promised that it goes.
  return { exitCode: failed > 0 || (operands.length > 0 && held > 0) ? exitCodes.failed : exitCodes.done, forgotten };
}

function sayBrake({ output }: CommandContext<Options>, braked: readonly BrakedDecision[], force: boolean): void {
  const held = braked.filter((decision) => decision.held && !(force && decision.heldByClock)).length;
  if (held > 0 && force)
    output.warning(`--force: ${formatCount(held, 'snapshot')} that the brake would hold ${held === 1 ? 'goes' : 'go'}`);
  else for (const warning of brakeWarnings(braked)) output.warning(warning);
}

/** Everything in a dry run, or with --verbose; else what goes. */
function show({ output, options }: CommandContext<Options>, decisions: readonly BrakedDecision[]): void {
  for (const decision of decisions) output.document(documentOf(decision));
  const shown = options.dryRun || output.verbose ? decisions : decisions.filter(({ keep }) => !keep);
  if (shown.length === 0 || (output.quiet && !options.dryRun)) return;
  const columns = [
    { title: 'ID' },
    { title: 'TIME' },
    { title: 'VOLUME' },
    { title: 'CLASS' },
    { title: 'ACTION' },
    { title: 'WHY' },
  ] as const;
  output.table(columns, shown.map(rowOf));
}

function rowOf({ snapshot, group, keep, reasons, suspicion }: BrakedDecision): string[] {
  const why = [...reasons, ...(suspicion === undefined ? [] : [`looks wrong: ${suspicion.message}`])];
  const volume = group.volume ?? group.label;
  const taken = identityFromTags(snapshot.tags)?.class ?? '-';
  return [
    shortId(snapshot.id),
    snapshot.time.replace(/\.\d+/, ''),
    displayText(volume),
    displayText(taken),
    keep ? 'keep' : 'forget',
    displayText(why.join(', ')),
  ];
}

/** A line of `--json`. */
function documentOf({ snapshot, group, keep, held, reasons, suspicion }: BrakedDecision): object {
  const { id, time, hostname, paths } = snapshot;
  const { project, volume } = group;
  const about = project === undefined ? { hostname, paths } : { project, volume, class: identityFromTags(snapshot.tags)?.class };
  return { id, time, ...about, action: keep ? 'keep' : 'forget', held, reasons, ...(suspicion === undefined ? {} : { suspicion }) };
}

async function pruneAfter(context: CommandContext<Options>, forgotten: number): Promise<void> {
  if (forgotten === 0) return;
  // A plan would count what is still there.
  if (context.options.dryRun) return context.output.note('what a prune would free is known once the snapshots are gone');
  const { command: prune } = await import('./prune.ts');
  await prune.run({ ...context, operands: [], options: { lock: true } });
}
