import { randomUUID } from 'node:crypto';
import type { ApiClient } from '../../api/client.ts';
import type { AnswerOf, BodyOf } from '../../api/contract/operations.ts';
import { isOver, type JobKind, type JobState, jobKinds, jobStates } from '../../control/jobs/job.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { formatDuration, formatSize } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { createJobLogText } from '../output/job-log.ts';
import { displayText } from '../output/text.ts';
import { formatLocalTime } from '../output/units.ts';
import { wakefulClock } from '../wakeful-clock.ts';

type Options = {
  follow?: boolean;
  kind?: string;
  state?: string;
  limit: string;
  volume: string[];
  tag: string[];
  from?: string;
  to?: string;
  part?: string;
  priority?: string;
  dryRun?: boolean;
};
type Context = CommandContext<Options>;
type Job = AnswerOf<'getJob'>;
type JobSpec = BodyOf<'startJob'>['spec'];

const collect = (value: string, before: string[]): string[] => [...before, value];

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[action]', 'list, start, cancel or log', 'list')
      .argument('[what]', `start: ${jobKinds.join(', ')}; cancel, log: the id of a job`)
      .option('--kind <kind>', 'list: only of this kind')
      .option('--state <state>', `list: only ${jobStates.join(', ')}`)
      .option('--limit <count>', 'list: so many at most', '20')
      .option('-f, --follow', 'start, log: show what comes until the job has ended; the exit code is then its own')
      .option('--volume <name>', 'list: of this volume; start: the same, several times for several', collect, [])
      .option('--tag <tag>', 'start backup: a tag of the snapshots', collect, [])
      .option('--from <repository>', 'start copy: from this repository')
      .option('--to <repository>', 'start copy: to this repository')
      .option('--part <k/n>', 'start check: read this part of all data', '1/1')
      .option('--priority <number>', 'start: 0 to 9; what waits with a higher number goes first')
      .option('-n, --dry-run', 'start, cancel: change nothing; say what would be asked for');
    commander.addHelpText(
      'after',
      '\nAsks the daemon of this project on this host, or that of --server or HOLDFAST_SERVER with the token of HOLDFAST_TOKEN or\nHOLDFAST_TOKEN_FILE. `start` uses the repository of --repository, by its name, else the first.',
    );
  },

  async run(context) {
    const [action = 'list', what] = context.operands;
    const perform = Object.hasOwn(actions, action) ? actions[action as keyof typeof actions] : undefined;
    if (perform === undefined || (action !== 'list') !== (what !== undefined)) {
      const said =
        perform === undefined
          ? `there is nothing to do with jobs that is called ${JSON.stringify(action)}`
          : `\`jobs ${action}\` ${what === undefined ? 'needs a name' : 'takes no name'}`;
      throw new HoldfastError('usage', said, { remedy: 'run `holdfast jobs --help`' });
    }
    return perform(context, await daemonClient(context), what ?? '');
  },
};

const actions = { list, start, cancel, log };

async function list({ output, options }: Context, client: ApiClient): Promise<number> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new HoldfastError('usage', '--limit is a whole number from 1');
  if (options.volume.length > 1) throw new HoldfastError('usage', 'a list is of one --volume, or of all');
  const query = {
    limit: Math.min(limit, 1000),
    kind: options.kind as JobKind,
    state: options.state as JobState,
    volume: options.volume[0],
  };
  const jobs: Job[] = [];
  for await (const job of client.all('listJobs', { query })) {
    if (jobs.length === limit) break;
    jobs.push(job);
    output.document(job);
  }
  output.table(
    [{ title: 'ID' }, { title: 'JOB' }, { title: 'STATE' }, { title: 'TOOK', align: 'right' }, { title: 'BY' }, { title: 'WHY' }],
    jobs.map(rowOf),
  );
  if (jobs.length === 0) output.note('no jobs');
  return exitCodes.done;
}

function rowOf({ id, spec, state, startedMs, endedMs, heldUntilMs, startedBy, schedule, error }: Job): string[] {
  const took = startedMs === undefined || endedMs === undefined ? '-' : formatDuration(endedMs - startedMs);
  return [
    displayText(id),
    displayText(titleOf(spec)),
    displayText(state),
    took,
    displayText(schedule ?? startedBy),
    displayText(heldUntilMs === undefined ? (error?.message.split('\n', 1)[0] ?? '') : `quiet hours until ${formatLocalTime(heldUntilMs)}`),
  ];
}

function titleOf(spec: Job['spec'] | JobSpec): string {
  if (spec.kind === 'copy') return `copy ${spec.from} to ${spec.to}`;
  const volumes = 'volumes' in spec && spec.volumes !== undefined ? ` ${spec.volumes.join(' ')}` : '';
  return `${spec.kind}${volumes}${'repository' in spec ? ` at ${spec.repository}` : ''}`;
}

async function start(context: Context, client: ApiClient, kind: string): Promise<number> {
  const { output, options } = context;
  const priority = options.priority === undefined ? undefined : Number(options.priority);
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= 9))
    throw new HoldfastError('usage', '--priority is a whole number from 0 to 9');
  const spec = await specOf(context, client, kind);
  if (options.dryRun) {
    output.document({ spec, started: false });
    output.line(`would start: ${displayText(titleOf(spec))}`);
    return exitCodes.done;
  }
  const job = await client.call('startJob', { body: { spec, priority }, idempotencyKey: randomUUID() });
  if (options.follow) {
    output.note(displayText(`started ${job.id}`));
    return follow(context, client, job.id);
  }
  output.document(job);
  output.line(displayText(`started ${job.id}: ${titleOf(spec)}`));
  return exitCodes.done;
}

async function specOf({ options, global }: Context, client: ApiClient, kind: string): Promise<JobSpec> {
  const repository = async () => global.repository ?? ((await client.call('getProject')).repositories[0] as string);
  const volumes = options.volume.length === 0 ? undefined : options.volume;
  switch (kind) {
    case 'backup':
      return { kind, repository: await repository(), class: 'manual', volumes, tags: options.tag.length === 0 ? undefined : options.tag };
    case 'forget':
      return { kind, repository: await repository() };
    case 'check': {
      const [, part, parts] = /^(\d{1,5})\/(\d{1,5})$/.exec(options.part ?? '') ?? [];
      if (parts === undefined) throw new HoldfastError('usage', '--part is like 1/10');
      return { kind, repository: await repository(), part: Number(part), parts: Number(parts) };
    }
    case 'copy':
      if (options.from === undefined || options.to === undefined) throw new HoldfastError('usage', 'a copy needs --from and --to');
      return { kind, from: options.from, to: options.to };
    case 'drill':
      return { kind, repository: await repository(), volumes };
    case 'usage':
      return { kind };
    default:
      throw new HoldfastError('usage', `there is no kind of job ${JSON.stringify(kind)}`, { remedy: `use one of ${jobKinds.join(', ')}` });
  }
}

async function cancel({ output, options }: Context, client: ApiClient, id: string): Promise<number> {
  const job = await client.call(options.dryRun ? 'getJob' : 'cancelJob', { parameters: { job: id } });
  output.document(job);
  if (options.dryRun) output.line(displayText(`would cancel ${job.id} (${job.state})`));
  else output.line(displayText(job.state === 'running' ? `${job.id} is told to end` : `${job.id}: ${job.state}`));
  return exitCodes.done;
}

async function log(context: Context, client: ApiClient, id: string): Promise<number> {
  if (context.options.follow) return follow(context, client, id);
  const show = lineShower(context);
  for await (const line of client.all('readJobLog', { parameters: { job: id }, query: { limit: 1000 } })) show(line);
  return exitCodes.done;
}

/** Connections that tell nothing, one after the other. */
const mostAttempts = 5;

/** Until the job has ended; a connection that is lost is taken up where it was. */
async function follow(context: Context, client: ApiClient, id: string): Promise<number> {
  const show = lineShower(context);
  let lastEventId: string | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      for await (const event of client.follow('followJob', { parameters: { job: id }, lastEventId })) {
        attempt = 0;
        lastEventId = event.id ?? lastEventId;
        if (event.event === 'log') show(event.data as LogLine);
        if (event.event === 'end') return showEnd(context, event.data as Job);
      }
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'daemon-unreachable') || lastEventId === undefined || attempt >= mostAttempts)
        throw error;
    }
    await wakefulClock.sleep(1_000 * attempt, context.signal);
    context.signal.throwIfAborted();
    if (attempt < mostAttempts) continue;
    const job = await client.call('getJob', { parameters: { job: id } }).catch(() => undefined);
    throw new HoldfastError(
      'daemon-unreachable',
      `the daemon stopped telling of ${id}${job && !isOver(job.state) ? ', which goes on' : ''}`,
    );
  }
}

type LogLine = AnswerOf<'readJobLog'>['items'][number];

/** With --json as the job wrote it, else as text for people. */
function lineShower({ output }: Context): (line: LogLine) => void {
  const textOf = createJobLogText();
  return ({ line, atMs }) => {
    output.document(documentOf(line));
    if (!output.json) for (const text of textOf(line, atMs)) output.line(text);
  };
}

/** What is none, because a secret in its middle was taken out for one, is shown as it is. */
function documentOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return { message: line };
  }
}

function showEnd({ output }: Context, job: Job): number {
  output.document(job);
  const stored = job.result?.snapshots.reduce((sum, { addedBytes }) => sum + addedBytes, 0) ?? 0;
  output.line(displayText(`${job.id}: ${job.state}${stored > 0 ? `, ${formatSize(stored)} new` : ''}`));
  if (job.error !== undefined) output.warning(job.error.message);
  return exitCodeOf(job);
}

/** That of its command, where it is one of the documented: not so of one that was killed. */
function exitCodeOf({ state, exitCode }: Job): number {
  if (state === 'succeeded') return exitCodes.done;
  const known: readonly number[] = Object.values(exitCodes);
  return exitCode !== undefined && exitCode !== exitCodes.done && known.includes(exitCode) ? exitCode : exitCodes.failed;
}
