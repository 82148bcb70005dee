/** What an `sftp:` storage is opened by: the forms of its URL, its options, and the command line that they make. */
import { posix } from 'node:path';
import { HoldfastError } from '../model/errors.ts';
import { commandWords } from './command-words.ts';
import { readRestOptions } from './rest-options.ts';
import type { StorageAddress } from './storage.ts';

export type SftpSettings = {
  program: string;
  args: string[];
  /** How a user would try it by hand, for messages. */
  trial: string;
  /** Of the repository, on the server; relative to where the server begins, which is usually the user's home. */
  path: string;
  /** Files that are transferred at a time; others wait. */
  connections: number;
  idleTimeoutMs: number;
  location: string;
};

type Place = { user: string | undefined; host: string; port: string | undefined; path: string };

const optionNames = ['command', 'args', 'connections', 'timeout'] as const;

/**
 * Options as `sftp` itself gives them to `ssh`; that nothing is asked, that a dead link ends (after a minute), and that no connection of
 * somebody else's hangs on this one. What the user gives goes before them.
 */
const always = [
  ...['BatchMode=yes', 'ConnectTimeout=30', 'ServerAliveInterval=15', 'ServerAliveCountMax=4', 'ControlMaster=no'],
  ...['ForwardX11=no', 'ForwardAgent=no', 'PermitLocalCommand=no', 'ClearAllForwardings=yes'],
].map((option) => `-o${option}`);

const remedy = 'write it as sftp:user@host:path or sftp://user@host:port//path: see docs/configuration.md';
const usage = (message: string, better = remedy) => new HoldfastError('usage', message, { remedy: better });

/** @throws `usage` for a URL or an option that cannot be used; messages don't repeat the URL. */
export function parseSftpAddress({ url, options = {} }: Pick<StorageAddress, 'url' | 'options'>): SftpSettings {
  const place = url.startsWith('sftp://') ? parseUrl(url) : parseShort(url);
  check(place);
  const { connections, idleTimeoutMs, given } = readRestOptions('sftp', options, optionNames);
  const { user, host, port } = place;
  const path = posix.normalize(place.path).replace(/(?<=.)\/$/, '');
  const at = `${user === undefined ? '' : `${user}@`}${host.includes(':') ? `[${host}]` : host}`;
  const location = port === undefined ? `sftp:${at}:${path}` : `sftp://${at}:${port}/${path}`;
  const trial = `sftp ${port === undefined ? '' : `-P ${port} `}${at}`;
  return { ...commandOf(place, given), trial, path, connections, idleTimeoutMs, location };
}

function commandOf(
  { user, host, port }: Place,
  { command, args }: { command?: string; args?: string },
): { program: string; args: string[] } {
  if (command === undefined) {
    const to = [...(port === undefined ? [] : ['-p', port]), ...(user === undefined ? [] : ['-l', user]), '-s', '--', host, 'sftp'];
    return { program: 'ssh', args: [...commandWords(args ?? ''), ...always, ...to] };
  }
  if (args !== undefined) throw usage('of the options command and args there can be one only', 'put the arguments into command');
  const [program, ...rest] = commandWords(command);
  if (program === undefined) throw usage('option command names no program', 'for example: ssh user@host -s sftp');
  return { program, args: rest };
}

/** `sftp://[user@]host[:port]/path`: the path begins behind the slash. */
function parseUrl(url: string): Place {
  const match = /^sftp:\/\/(?:([^/]*)@)?(?:\[([^\]/]*)\]|([^/:@]*))(?::(\d{1,5}))?\/(.*)$/s.exec(url);
  if (match === null) throw usage('this is no URL of an SFTP server');
  const [, user, bracketedHost, host = '', port, path = ''] = match;
  if (user?.includes(':')) {
    const better = 'leave the password out of the URL, and let ssh log in by a key: see docs/configuration.md';
    throw usage('an SFTP server is never given a password', better);
  }
  return { user: user === undefined ? undefined : decoded(user), host: bracketedHost ?? host, port, path: decoded(path) };
}

/** `sftp:[user@]host:path`, as scp has it. */
function parseShort(url: string): Place {
  const match = /^sftp:(?:([^:/]*)@)?(?:\[([^\]/]*)\]|([^:/@[]*)):(.*)$/s.exec(url);
  if (match === null) throw usage('this is no place on an SFTP server');
  const [, user, bracketedHost, host = '', path = ''] = match;
  return { user, host: bracketedHost ?? host, port: undefined, path };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What `ssh` would take as an option, and what configurations might hand to a shell (by %h and %r), as newer versions of it refuse too. */
function check({ user, host, port, path }: Place): void {
  if (!/^[^-\s\p{C}'"`$\\;&<>|(){},][^\s\p{C}'"`$\\;&<>|(){},]*$/u.test(host)) throw usage('this names no host');
  if (user !== undefined && !/^[^-\s\p{C}'"`$;&<>|(){}][^\s\p{C}'"`$;&<>|(){}]*$/u.test(user)) throw usage('this names no user');
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) throw usage('this is no port');
  if (path === '' || path.includes('\0')) throw usage('this names no folder on the server');
  if (path.startsWith('~')) throw usage('SFTP servers know no ~', "leave it out: what does not begin with a slash is in the user's home");
}
