import { resolve } from 'node:path';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { shortId } from '../../model/ids.ts';
import { addKey, findKeyByName, type ListedKey, listKeys, type NewKey } from '../../repository/keys.ts';
import { processOwner } from '../../repository/process-owner.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Command, CommandContext } from '../command.ts';
import { costOf, makeKeyFile } from '../key-material.ts';
import { displayText } from '../output/text.ts';
import { findPassword } from '../password.ts';
import { findProject } from '../project.ts';
import { askNewSecret, terminalOf } from '../prompt.ts';
import { withRepository } from '../session.ts';

type Options = {
  generate?: string;
  newPasswordFile?: string;
  newPasswordCommand?: string;
  user?: string;
  host?: string;
  dryRun?: boolean;
};

type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<action>', 'list, add, remove or passwd')
      .argument('[key]', 'remove: the id of a key, or its beginning')
      .option('--generate <file>', 'add, passwd: make a random key, and write it to this file')
      .option('--new-password-file <file>', 'add, passwd: read the new password from this file')
      .option('--new-password-command <command>', 'add, passwd: run this to get the new password')
      .option('--user <name>', 'add, passwd: what the key is to say of its user')
      .option('--host <name>', 'add, passwd: what the key is to say of its host')
      .option('-n, --dry-run', 'change nothing; say what would be done');
    commander.addHelpText(
      'after',
      `
Every key opens the whole repository. \`list\` marks the one in use with a star. \`add\` and \`passwd\` take the new password from the options,
HOLDFAST_NEW_PASSWORD_FILE, HOLDFAST_NEW_PASSWORD_COMMAND, HOLDFAST_NEW_PASSWORD, or the terminal, which asks twice. \`passwd\` replaces the key in
use, and removes it when the new one has proved to open. The key in use, and so the last one, cannot be removed.`,
    );
  },

  async run(context) {
    const [action, key] = context.operands;
    const perform = action === undefined || !Object.hasOwn(actions, action) ? undefined : actions[action as Action];
    if (perform === undefined) {
      throw new HoldfastError('usage', `there is nothing to do with keys that is called ${JSON.stringify(action)}`, {
        remedy: `use one of ${Object.keys(actions).join(', ')}`,
      });
    }
    if ((action === 'remove') !== (key !== undefined)) {
      const what = action === 'remove' ? 'no key to remove was named' : `\`key ${action}\` takes no key`;
      throw new HoldfastError('usage', what, { remedy: 'run `holdfast key --help`' });
    }
    await perform(context, key ?? '');
    return exitCodes.done;
  },
};

type Action = 'list' | 'add' | 'remove' | 'passwd';

const actions: Record<Action, (context: Context, key: string) => Promise<void>> = { list, add, remove, passwd };

async function list(context: Context): Promise<void> {
  const { output } = context;
  const { keys, current } = await withRepository(context, await findProject(context), 'none', async ({ repository }) => ({
    keys: await listKeys(repository.storage),
    current: repository.keyName,
  }));
  for (const { name, username, hostname, created } of keys) {
    output.document({ id: name, current: name === current, username, hostname, created, damaged: created === undefined });
  }
  const row = ({ name, username, hostname, created }: ListedKey) => [
    `${name === current ? '*' : ' '}${shortId(name)}`,
    displayText(username ?? ''),
    displayText(hostname ?? ''),
    created === undefined ? 'damaged' : displayText(created.replace(/\.\d+/, '')),
  ];
  output.table([{ title: ' ID' }, { title: 'USER' }, { title: 'HOST' }, { title: 'CREATED' }], keys.map(row));
}

async function add(context: Context): Promise<void> {
  const { output, options } = context;
  await withRepository(context, await findProject(context), options.dryRun ? 'none' : 'shared', async ({ repository }) => {
    if (options.dryRun) {
      output.document({ added: false });
      return output.line('would add a key');
    }
    const id = await addNewKey(context, repository);
    output.document({ id, added: true });
    output.line(`added key ${shortId(id)}`);
  });
}

/** Exclusive: two that remove each other's keys at once would leave none. */
async function remove(context: Context, prefix: string): Promise<void> {
  const { output, options } = context;
  await withRepository(context, await findProject(context), options.dryRun ? 'none' : 'exclusive', async ({ repository }) => {
    const { name } = findKeyByName(await listKeys(repository.storage), prefix);
    if (name === repository.keyName)
      throw new HoldfastError('key-needed', `key ${shortId(name)} is the one in use`, { file: `keys/${name}` });
    if (!options.dryRun) await repository.storage.remove({ kind: 'keys', name });
    output.document({ id: name, removed: !options.dryRun });
    output.line(`${options.dryRun ? 'would remove' : 'removed'} key ${shortId(name)}`);
  });
}

async function passwd(context: Context): Promise<void> {
  const { output, options } = context;
  await withRepository(context, await findProject(context), options.dryRun ? 'none' : 'exclusive', async ({ repository }) => {
    const old = repository.keyName as string;
    if (options.dryRun) {
      output.document({ added: false, replaced: old });
      return output.line(`would replace key ${shortId(old)}`);
    }
    const id = await addNewKey(context, repository);
    // The new key is durable and has proved to open: from here on the old one is not needed.
    await repository.storage.remove({ kind: 'keys', name: old }).catch((error: unknown) => {
      throw error instanceof HoldfastError ? oldKeyStays(id, old, error) : error;
    });
    output.document({ id, added: true, replaced: old });
    output.line(`replaced key ${shortId(old)} by ${shortId(id)}`);
    output.note('the password used until now opens the repository no more: replace it wherever it is kept, on other hosts too');
  });
}

function oldKeyStays(id: string, old: string, { code, message, cause }: HoldfastError): HoldfastError {
  return new HoldfastError(code, `key ${shortId(id)} was added and opens the repository, but the old key stays: ${message}`, {
    file: `keys/${old}`,
    remedy: `remove it with the new key, where credentials may delete: holdfast key remove ${shortId(old)}`,
    cause,
  });
}

async function addNewKey(context: Context, { storage, masterKey }: Repository): Promise<string> {
  const { cwd, options, output } = context;
  const file = options.generate === undefined ? undefined : resolve(cwd, options.generate);
  const password = file === undefined ? await newPassword(context) : await makeKeyFile(file);
  const { username, hostname } = processOwner();
  const owner = { username: options.user ?? username, hostname: options.host ?? hostname };
  const key: NewKey = { password, cost: costOf(password), owner, now: new Date() };
  const id = await addKey(storage, masterKey, key).catch((cause: unknown) => {
    if (file === undefined || !(cause instanceof HoldfastError)) throw cause;
    // The key may be stored all the same: a reply can be lost on its way.
    const remedy = `the new key stays in ${file}: run the command again with --new-password-file in place of --generate`;
    throw new HoldfastError(cause.code, cause.message, { remedy, cause: cause.cause, file: cause.file });
  });
  if (file !== undefined) {
    output.line(`wrote ${displayText(file)}: the new key`);
    output.note(`keep a copy of ${displayText(file)} off this host`);
  }
  return id;
}

function newPassword(context: Context): Promise<Buffer> {
  const { environment, cwd, options } = context;
  const terminal = terminalOf(context);
  return findPassword({
    file: options.newPasswordFile,
    command: options.newPasswordCommand,
    role: 'NEW_',
    environment,
    cwd,
    ask: terminal && (() => askNewSecret(terminal, 'new password')),
  }).catch((cause: unknown) => {
    if (!(cause instanceof HoldfastError) || cause.code !== 'password-missing') throw cause;
    throw new HoldfastError('password-missing', cause.message.replace('for the repository', 'for the new key'), {
      remedy: 'give --new-password-file, --new-password-command or --generate, or run it at a terminal',
      file: cause.file,
    });
  });
}
