import { createHash } from 'node:crypto';
import type { ApiClient } from '../../api/client.ts';
import type { AnswerOf } from '../../api/contract/operations.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { parseDuration } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { displayText } from '../output/text.ts';

type Options = { ended?: boolean; limit: string; silence?: string; dryRun?: boolean };
type Context = CommandContext<Options>;
type Alert = AnswerOf<'getAlert'>;

const mostSilenceMs = 30 * 86_400_000;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('[action]', 'list or acknowledge', 'list')
      .argument('[id...]', 'acknowledge: which, as they are listed')
      .option('--ended', 'list: those that are over, too')
      .option('--limit <count>', 'list: so many at most', '100')
      .option('--silence <duration>', 'acknowledge: tell nothing new of it for so long (`4h`, at most 30d); `0` ends that')
      .option('-n, --dry-run', 'acknowledge: change nothing; say what would be');
    commander.addHelpText(
      'after',
      '\nAsks the daemon of this project on this host, or that of --server or HOLDFAST_SERVER with the token of HOLDFAST_TOKEN or\nHOLDFAST_TOKEN_FILE. Who acknowledges says that he looks after it. What is wrong when a silence ends is told of then.',
    );
  },

  async run(context) {
    const [action = 'list', ...ids] = context.operands;
    if ((action !== 'list' && action !== 'acknowledge') || (action === 'acknowledge') !== ids.length > 0) {
      const said =
        action === 'list' || action === 'acknowledge'
          ? `\`alerts ${action}\` ${action === 'list' ? 'takes no ids' : 'needs the id of an alert'}`
          : `there is nothing to do with alerts that is called ${JSON.stringify(action)}`;
      throw new HoldfastError('usage', said, { remedy: 'run `holdfast alerts --help`' });
    }
    const silenceMs = action === 'list' ? undefined : silenceOf(context.options.silence);
    const client = await daemonClient(context);
    return action === 'list' ? list(context, client) : acknowledge(context, client, ids, silenceMs);
  },
};

function silenceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const durationMs = text === '0' ? 0 : parseDuration(text);
  if (durationMs === undefined || durationMs > mostSilenceMs)
    throw new HoldfastError('usage', '--silence is a duration of at most 30 days, such as `4h`, or 0');
  return durationMs;
}

/** What is typed for an alert, whose id is long and has blanks. */
const shortOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 8);

async function list({ output, options }: Context, client: ApiClient): Promise<number> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new HoldfastError('usage', '--limit is a whole number from 1');
  const query = { limit: Math.min(limit, 1000), ...(options.ended ? {} : { state: 'raised' as const }) };
  const rows: string[][] = [];
  for await (const alert of client.all('listAlerts', { query })) {
    output.document(alert);
    rows.push(rowOf(alert));
    if (rows.length === limit) break;
  }
  output.table([{ title: 'ID' }, { title: 'STATE' }, { title: 'SINCE' }, { title: 'ABOUT' }, { title: 'WHAT' }, { title: 'TAKEN' }], rows);
  if (rows.length === 0) output.note('no alerts');
  return exitCodes.done;
}

const timeOf = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

function rowOf({ id, state, condition, firstSeenMs, subject, message, acknowledged, silenced }: Alert): string[] {
  const about = subject.name === undefined ? subject.kind : `${subject.kind} ${subject.name}`;
  const taken = acknowledged === undefined ? '-' : `by ${acknowledged.by}`;
  return [
    shortOf(id),
    state === 'ended' ? 'over' : condition === 'broken' ? 'broken' : 'at risk',
    timeOf(firstSeenMs),
    displayText(about),
    displayText(message),
    displayText(silenced === undefined ? taken : `${taken}, silent until ${timeOf(silenced.untilMs)}`),
  ];
}

async function acknowledge({ output, options }: Context, client: ApiClient, words: readonly string[], silenceMs: number | undefined) {
  const found = await find(client, words);
  for (const alert of found) {
    const name = displayText(`${alert.key}: ${alert.message}`);
    if (options.dryRun) {
      output.document(alert);
      output.line(`would acknowledge ${name}`);
      continue;
    }
    const taken = await client.call('acknowledgeAlert', { parameters: { alert: alert.id }, body: { silenceMs } });
    output.document(taken);
    const silent = taken.silenced === undefined ? '' : `, silent until ${timeOf(taken.silenced.untilMs)}`;
    output.line(taken.state === 'ended' ? `is over: ${name}${silent}` : `acknowledged${silent}: ${name}`);
  }
  return exitCodes.done;
}

/** The alerts that words name, all of them or none. @throws `resource-missing`. */
async function find(client: ApiClient, words: readonly string[]): Promise<Alert[]> {
  const found = new Map<string, Alert>();
  for await (const alert of client.all('listAlerts', { query: { limit: 1000 } })) {
    const word = words.find((one) => one === alert.id || one === shortOf(alert.id));
    if (word !== undefined && !found.has(word)) found.set(word, alert);
    if (found.size === new Set(words).size) break;
  }
  const missing = words.find((word) => !found.has(word));
  if (missing !== undefined)
    throw new HoldfastError('resource-missing', `there is no alert ${JSON.stringify(missing)}`, {
      remedy: 'run `holdfast alerts --ended`',
    });
  return [...found.values()];
}
