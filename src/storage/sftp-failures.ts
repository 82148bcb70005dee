/** What an SFTP server, or an `ssh` that ended, means: as errors of the catalogue. */
import { type ErrorCode, HoldfastError } from '../model/errors.ts';
import { StatusError } from './sftp-client.ts';
import { type FileSystemRoom, statusCodes } from './sftp-protocol.ts';

/** Less than this, and a server that could not write had no room. */
const littleBytes = 64 * 1024;

/**
 * The error that a failed request stands for.
 * @param subject the file or folder, for messages.
 * @param room what is left, as far as the server tells it: version 3 of the protocol has no status for a disk that is full.
 */
export function failureOf(error: unknown, doing: string, subject: string, room?: FileSystemRoom): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const details = { file: subject, cause: error };
  const message = `cannot ${doing} ${subject}: ${error instanceof Error ? error.message : String(error)}`;
  if (!(error instanceof StatusError)) return new HoldfastError('storage', message, details);
  if (error.code === statusCodes.noSuchFile) return new HoldfastError('file-missing', `${subject} is missing`, details);
  if (error.code === statusCodes.permissionDenied) return new HoldfastError('storage-denied', message, details);
  if (error.code === statusCodes.unsupported) return new HoldfastError('unsupported', message, details);
  if (/no space left|quota/i.test(error.message) || (room !== undefined && (room.availableBytes < littleBytes || !room.inodesLeft)))
    return new HoldfastError('storage-full', `no room to ${doing} ${subject}: ${error.message}`, details);
  if (/read-only/i.test(error.message) || room?.readOnly)
    return new HoldfastError('storage-denied', `${message}; the file system is read-only`, details);
  return new HoldfastError('storage', message, details);
}

export type Ending = {
  program: string;
  location: string;
  /** What the user could try by hand. */
  trial: string;
  /** Whether the server had answered: then it had let us in. */
  greeted: boolean;
  /** The exit code or signal; undefined while it runs. */
  status: number | string | undefined;
  /** The end of what the program wrote to standard error. */
  said: string;
  /** What this side saw, when it was this side that gave up. */
  cause: Error | undefined;
};

/** The error of all requests that were under way when the connection ended. */
export function lostConnection(ending: Ending): HoldfastError {
  const { program, location, trial, greeted, status, said, cause } = ending;
  const how = cause?.message ?? (status === undefined ? 'it was closed' : `${program} ended (${status})`);
  const what = said === '' ? how : `${how}: ${said}`;
  const refusal = greeted ? undefined : refusals.find(({ pattern }) => pattern.test(said));
  if (refusal !== undefined)
    return new HoldfastError(refusal.code, `${refusal.meaning(location)}: ${what}`, { remedy: refusal.remedy(trial) });
  return new HoldfastError('storage', `the connection to ${location} was lost: ${what}`, {
    remedy: `if this does not pass, try \`${trial}\``,
  });
}

type Refusal = { pattern: RegExp; code: ErrorCode; meaning: (location: string) => string; remedy: (trial: string) => string };

/** What OpenSSH's client says when to try again does not help. */
const refusals: readonly Refusal[] = [
  {
    pattern: /host key verification failed|no .*host key is known|host identification has changed/i,
    code: 'storage-denied',
    meaning: (location) => `the server of ${location} is not known to be the right one`,
    remedy: (trial) => `compare the server's fingerprint, then put its key into known_hosts: \`${trial}\` asks`,
  },
  {
    pattern: /permission denied|too many authentication failures|no mutual signature|bad permissions|bad owner/i,
    code: 'storage-denied',
    meaning: (location) => `the server of ${location} does not let this user in`,
    remedy: (trial) =>
      `let \`${trial}\` work without asking anything: by a key in the agent or in ssh_config, as the user who runs Holdfast`,
  },
  {
    pattern: /bad configuration option|unsupported option|unknown option|can't open user config file|usage: ssh/i,
    code: 'usage',
    meaning: (location) => `the settings for ${location} are refused`,
    remedy: () => 'correct the option args, or ssh_config',
  },
  {
    pattern: /subsystem request failed|unknown subsystem/i,
    code: 'unsupported',
    meaning: (location) => `the server of ${location} offers no SFTP`,
    remedy: () => 'turn on the subsystem sftp in its sshd_config',
  },
];

/** Without the cause, which holds the arguments. */
export function notStarted(program: string, { code, message }: NodeJS.ErrnoException): HoldfastError {
  const remedy =
    program === 'ssh'
      ? "install OpenSSH's client (on Debian: apt-get install openssh-client)"
      : 'install it, or correct the option command';
  if (code === 'ENOENT') return new HoldfastError('unsupported', `the program ${program} is not installed`, { remedy });
  return new HoldfastError('unsupported', `cannot start ${program}: ${message}`);
}
