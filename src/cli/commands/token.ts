import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { openApiDatabase } from '../../api/auth/database.ts';
import { createTokens, type Token, type Tokens } from '../../api/auth/tokens.ts';
import { type Role, roles } from '../../api/contract/roles.ts';
import { apiDatabaseFile } from '../../api/server.ts';
import { createAuditLog } from '../../control/state/log-tables.ts';
import { isDamage, openState, type State } from '../../control/state/state.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { parseDuration } from '../../model/quantities.ts';
import { processOwner } from '../../repository/process-owner.ts';
import type { Command, CommandContext } from '../command.ts';
import { daemonFolder, makeDaemonFolder } from '../daemon-place.ts';
import { joinState } from '../join-state.ts';
import { requireDaemonProject } from '../project.ts';
import { systemClock } from '../system-clock.ts';

type Options = { role?: string; name?: string; expires?: string; dryRun?: boolean };
type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<action>', 'create, list or revoke')
      .argument('[name]', 'revoke: the name of the token')
      .option('--name <name>', 'create: what it is called, in the audit log too')
      .option('--role <role>', `create: ${roles.join(', ')}`)
      .option('--expires <duration>', 'create: it holds so long (`90d`); for ever when left out')
      .option('-n, --dry-run', 'change nothing; say what would be done');
    commander.addHelpText(
      'after',
      `
\`create\` prints the token, once: only its hash is kept. viewer sees state, jobs and alerts; operator starts and cancels jobs, too, and sees
names of files in snapshots; restore-only reads snapshots and what is in them, and nothing else; admin may do all. Takes effect at once.`,
    );
  },

  async run(context) {
    const [action, name] = context.operands;
    const perform = action === undefined || !Object.hasOwn(actions, action) ? undefined : actions[action as keyof typeof actions];
    if (perform === undefined || (action === 'revoke') !== (name !== undefined)) {
      const what =
        perform === undefined
          ? `there is nothing to do with tokens that is called ${JSON.stringify(action)}`
          : `\`token ${action}\` ${name === undefined ? 'needs the name of a token' : 'takes no name there'}`;
      throw new HoldfastError('usage', what, { remedy: 'run `holdfast token --help`' });
    }
    const folder = daemonFolder(await requireDaemonProject(context), context.environment);
    const file = apiDatabaseFile(folder);
    // Who only looks makes nothing.
    const isNothing = !existsSync(file) && (action === 'list' || context.options.dryRun === true);
    if (!isNothing) makeDaemonFolder(folder);
    const database = openTokens(isNothing ? ':memory:' : file);
    try {
      perform(context, createTokens(database), folder, name ?? '');
    } finally {
      database.close();
    }
    return exitCodes.done;
  },
};

const actions = { create, list, revoke };

function openTokens(file: string): DatabaseSync {
  try {
    return openApiDatabase(file);
  } catch (cause) {
    if (!isDamage(cause)) throw cause;
    const remedy = 'restart `holdfast up`, which puts it aside; no token holds then: make new ones';
    throw new HoldfastError('damaged', `the file of tokens is damaged: ${file}`, { cause, file, remedy });
  }
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}$/;
/** What lies beyond is no date that could be shown. */
const mostMs = 100 * 31_536_000_000;
/** Who asks without a token, and the daemon itself, have these in the audit log. */
const reserved: readonly string[] = ['socket', 'schedule'];

function create(context: Context, tokens: Tokens, folder: string): void {
  const { output, options } = context;
  const { name = '', role, expires, dryRun = false } = options;
  if (!namePattern.test(name) || reserved.includes(name))
    throw new HoldfastError('usage', '--name is a name of letters, digits, `_`, `.` and `-`, other than `socket` and `schedule`');
  if (!roles.some((known) => known === role)) throw new HoldfastError('usage', `--role is one of ${roles.join(', ')}`);
  const durationMs = expires === undefined ? undefined : parseDuration(expires);
  if (expires !== undefined && (!durationMs || durationMs > mostMs))
    throw new HoldfastError('usage', '--expires is a duration such as `90d`, of at most 100 years');
  const createdMs = systemClock.now().getTime();
  const token: Token = { name, role: role as Role, createdMs, expiresMs: durationMs === undefined ? undefined : createdMs + durationMs };
  if (dryRun) {
    output.document({ ...token, created: false });
    return output.line(`would make a token ${name} of the role ${role}`);
  }
  const secret = tokens.create(token);
  output.document({ ...token, created: true, token: secret });
  output.line(secret);
  record(context, folder, 'token-create', { name, role, expiresMs: token.expiresMs });
  output.note('this is shown once: keep it where secrets are kept');
}

function list({ output }: Context, tokens: Tokens): void {
  const nowMs = systemClock.now().getTime();
  const all = tokens.list().map((token) => ({ ...token, expired: token.expiresMs !== undefined && token.expiresMs <= nowMs }));
  for (const token of all) output.document(token);
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
  output.table(
    [{ title: 'NAME' }, { title: 'ROLE' }, { title: 'CREATED' }, { title: 'EXPIRES' }],
    all.map(({ name, role, createdMs, expiresMs, expired }) => [
      name,
      role,
      day(createdMs),
      expiresMs === undefined ? 'never' : `${day(expiresMs)}${expired ? ' (has expired)' : ''}`,
    ]),
  );
  if (all.length === 0) output.note('no tokens: make one with `holdfast token create`');
}

function revoke(context: Context, tokens: Tokens, folder: string, name: string): void {
  const { output, options } = context;
  const { dryRun = false } = options;
  if (!(dryRun ? tokens.list().some((token) => token.name === name) : tokens.revoke(name)))
    throw new HoldfastError('resource-missing', `there is no token ${JSON.stringify(name)}`, { remedy: 'run `holdfast token list`' });
  output.document({ name, revoked: !dryRun });
  output.line(`${dryRun ? 'would revoke' : 'revoked'} the token ${name}`);
  if (!dryRun) record(context, folder, 'token-revoke', { name });
}

/** In the daemon's audit log, whether it runs or not. What is done is done, and is told of, also where that cannot be written down. */
function record({ output }: Context, folder: string, what: string, document: Record<string, unknown>): void {
  const path = join(folder, 'state.sqlite');
  let state: State | undefined;
  try {
    state = existsSync(path) ? joinState(path) : openState(path);
    if (state === undefined) throw new Error('the state of the daemon is damaged, or of another version');
    createAuditLog(state).add({ atMs: systemClock.now().getTime(), who: `user ${processOwner().username}`, what, document });
  } catch (error) {
    output.warning(`the audit log does not tell of it: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    state?.close();
  }
}
