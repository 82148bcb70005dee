import { planOf, upcoming } from '../../control/daemon-plan.ts';
import type { Condition, Reason, RepositoryAssessment, VolumeAssessment } from '../../control/objectives/assessment.ts';
import { formatAge } from '../../control/objectives/rpo.ts';
import { exitCodes } from '../../model/errors.ts';
import { formatSize } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { askDaemon, judgeProject } from '../daemon-knowledge.ts';
import type { Known, OpenJob } from '../judge-by-state.ts';
import { displayText, type Style } from '../output/text.ts';
import { formatLocalTime } from '../output/units.ts';
import { requireDaemonProject } from '../project.ts';

type Options = { all?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander.option('--all', 'show every volume, good ones too');
    commander.addHelpText(
      'after',
      '\nFrom the daemon that --server names, or that runs here; else from the repositories. Exit code 0: all is good; 3: something is at risk; 1: a promise is broken.',
    );
  },

  async run(context) {
    const { global, environment } = context;
    // The client is loaded where there is somebody to ask.
    const { known, next } = (global.server ?? environment.HOLDFAST_SERVER) ? await askServer(context) : await askHere(context);
    const { assessment, daemon, open } = known;
    context.output.document({ ...assessment, daemon, open, next });
    show(context, known, next);
    return exitCodeOf(assessment.condition);
  },
};

type Answer = { known: Known; next: Next[] };

async function askHere(context: CommandContext<Options>): Promise<Answer> {
  const configuration = await requireDaemonProject(context);
  const known = await judgeProject(context, configuration);
  return { known, next: known.daemon ? nextOf(upcoming(planOf(configuration), known.assessment.atMs)) : [] };
}

async function askServer(context: CommandContext<Options>): Promise<Answer> {
  const { daemonClient } = await import('../daemon-client.ts');
  const client = await daemonClient(context);
  const [known, project] = await Promise.all([askDaemon(client), client.call('getProject')]);
  return { known, next: nextOf(project.upcoming) };
}

const exitCodeOf = (condition: Condition): number =>
  ({ good: exitCodes.done, 'at-risk': exitCodes.incomplete, broken: exitCodes.failed })[condition];

type Next = { task: string; dueMs: number };

/** Without what it will do. */
const nextOf = (all: readonly Next[]): Next[] => all.map(({ task, dueMs }) => ({ task, dueMs }));

/** So many volumes and repositories that need somebody, jobs and instants are shown without `--all`. */
const shownTroubles = 20;
const shownGood = 10;
const shownJobs = 5;

function show({ output, options }: CommandContext<Options>, { assessment, daemon, open }: Known, next: readonly Next[]): void {
  const { volumes, repositories, atMs, project, condition } = assessment;
  const { style } = output;
  const every = options.all ?? false;
  output.line(`${style.strong(displayText(project))}: ${label(condition, style).trimEnd()}`);
  for (const reason of assessment.reasons) showReason(reason);
  showGroup(
    volumes,
    ({ volume }) => volume,
    (volume) => goodVolume(volume, atMs),
    'volumes',
  );
  output.line();
  showGroup(
    repositories,
    ({ repository }) => repository,
    (repository) => goodRepository(repository, atMs),
    'repositories',
  );
  const jobs = every ? open : open.slice(0, shownJobs);
  if (open.length > 0) output.line();
  for (const job of jobs) output.line(`${displayText(job.state)}: ${describe(job)}${displayText(howLong(job, atMs))}`);
  if (open.length > jobs.length) output.line(`and ${open.length - jobs.length} more jobs: --all`);
  if (next.length > 0) output.line();
  for (const { task, dueMs } of every ? next : next.slice(0, shownJobs)) output.line(`in ${formatAge(dueMs - atMs)}: ${displayText(task)}`);
  if (!daemon) output.note('no daemon of this project runs here: what is due next is not known; `holdfast up` runs one');

  function showGroup<Item extends { condition: Condition; reasons: Reason[] }>(
    items: readonly Item[],
    nameOf: (item: Item) => string,
    goodOf: (item: Item) => string,
    plural: string,
  ): void {
    const troubles = [...items.filter((item) => item.condition === 'broken'), ...items.filter((item) => item.condition === 'at-risk')];
    const shown = every ? troubles : troubles.slice(0, shownTroubles);
    for (const item of shown) {
      output.line(`${label(item.condition, style)} ${style.strong(displayText(nameOf(item)))}`);
      for (const reason of item.reasons) showReason(reason);
    }
    if (troubles.length > shown.length) output.line(`and ${troubles.length - shown.length} more ${plural} that are not good: --all`);
    const good = items.filter((item) => item.condition === 'good');
    const summedUp = !every && good.length > shownGood;
    if (summedUp) output.line(`${label('good', style)} ${good.length} ${plural}`);
    else for (const item of good) output.line(`${label('good', style)} ${style.strong(displayText(nameOf(item)))}: ${goodOf(item)}`);
  }

  function showReason({ message, remedy }: Reason): void {
    output.line(`          ${displayText(message)}`);
    output.line(`          ${style.dim(`-> ${displayText(remedy)}`)}`);
  }
}

const labels = { good: 'good', 'at-risk': 'at risk', broken: 'broken' } as const satisfies Record<Condition, string>;
const colours = { good: 'good', 'at-risk': 'warning', broken: 'bad' } as const satisfies Record<Condition, keyof Style>;
const label = (condition: Condition, style: Style): string =>
  style[colours[condition]](labels[condition]) + ' '.repeat(7 - labels[condition].length);

function goodVolume({ rpo, rto, size }: VolumeAssessment, atMs: number): string {
  const parts = [rpo.ageMs === undefined ? [] : `saved ${formatAge(rpo.ageMs)} ago`];
  const isEmpty = size.files === 0;
  if (size.bytes !== undefined) parts.push(isEmpty ? 'empty' : formatSize(size.bytes));
  const basis = rto.basis === 'drills' ? '' : ' (estimated)';
  if (rto.mostMs !== undefined) parts.push(`restored within ${formatAge(rto.mostMs)}${basis}`);
  else if (!isEmpty) parts.push('time of a restore unknown');
  if (size.fullAtMs !== undefined) parts.push(`full in ${formatAge(size.fullAtMs - atMs)}`);
  return parts.flat().join(', ');
}

function goodRepository({ snapshots, seenAtMs, lastCheck }: RepositoryAssessment, atMs: number): string {
  const seen = seenAtMs === undefined ? 'not looked into' : `seen ${formatAge(atMs - seenAtMs)} ago`;
  return `${snapshots} ${snapshots === 1 ? 'snapshot' : 'snapshots'}, ${seen}${lastCheck === undefined ? '' : `, checked ${formatAge(atMs - lastCheck.atMs)} ago`}`;
}

function describe({ spec, schedule }: OpenJob): string {
  const where = 'repository' in spec ? ` of ${spec.repository}` : spec.kind === 'copy' ? ` from ${spec.from} to ${spec.to}` : '';
  return displayText(`${spec.kind}${where}${schedule === undefined ? '' : ` (${schedule})`}`);
}

function howLong({ state, startedMs, notBeforeMs, heldUntilMs, attempt, error }: OpenJob, atMs: number): string {
  if (startedMs !== undefined) return `, for ${formatAge(atMs - startedMs)}`;
  if (heldUntilMs !== undefined) return `, held back by quiet hours until ${formatLocalTime(heldUntilMs)}`;
  if (state !== 'queued' || notBeforeMs <= atMs) return '';
  const why = error === undefined ? '' : `: attempt ${attempt - 1} failed: ${error.message}`;
  return `, in ${formatAge(notBeforeMs - atMs)}${why}`;
}
