/**
 * `rclone:` storages: whatever rclone reaches, through an rclone that serves restic's REST protocol to this process.
 * Settings: docs/configuration.md.
 */
import { basename } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { processTransport } from './rclone-process.ts';
import { readRemote } from './rclone-remote.ts';
import { readRestOptions } from './rest-options.ts';
import { createRestProtocol } from './rest-protocol.ts';
import type { Storage, StorageAddress } from './storage.ts';

const optionNames = ['connections', 'timeout', 'program', 'args'] as const;
/** restic's: with the second, Backblaze's B2 really removes what is removed. */
const defaultArgs = 'serve restic --stdio --b2-hard-delete';

/**
 * @param address `rclone:remote:path`. Options: `program` (default `rclone`; words, as of a shell: `ssh user@host rclone`), `args`
 * (default `serve restic --stdio --b2-hard-delete`; the remote is put behind them), `connections` (at a time; default 5), `timeout` (of
 * silence; default 5m).
 * @throws `usage` for a URL or an option that cannot be used; for passwords in the URL that `program` could be given as arguments only.
 */
export function createRcloneStorage({ url, options = {} }: StorageAddress): Storage {
  const remote = url.replace(/^rclone:/, '');
  const remedy = 'write it as rclone:remote:path; `rclone listremotes` tells the remotes';
  if (remote === '' || remote.startsWith('-')) throw new HoldfastError('usage', 'this names no remote of rclone', { remedy });
  const { connections, idleTimeoutMs, given } = readRestOptions('rclone', options, optionNames);
  const [program, ...before] = words(given.program ?? 'rclone');
  if (program === undefined) throw new HoldfastError('usage', 'option program names no program');
  // A shell, as of a script in rclone's place, drops variables whose names it could not write itself.
  const inherits = basename(program).startsWith('rclone') || (before.length === 0 && /^(:|\w+,)/.test(remote));
  const { argument, environment, shown, secrets } = readRemote(remote, inherits);
  const args = [...before, ...words(given.args ?? defaultArgs), argument];
  const location = `rclone:${shown}`;
  const transport = processTransport({ program, args, environment, location, secrets });
  return createRestProtocol({ transport, location, connections, idleTimeoutMs });
}

/** Words are separated by blanks; quotes, of either kind, keep blanks. */
function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}
