/**
 * The error catalogue: every way in which Holdfast says no. An error names what happened, to which
 * volume or file, and what to do next; its code decides the exit code, so that scripts can rely on it.
 */

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  /** Done, but some data could not be read (backup) or some attribute could not be set (restore). */
  incomplete: 3,
  noRepository: 10,
  locked: 11,
  wrongPassword: 12,
  interrupted: 130,
} as const;

type CatalogueEntry = {
  /** What the code means, for the reference in docs. */
  meaning: string;
  /** What the user can do; shown after the message unless the thrower knows better. */
  remedy: string;
  exit: number;
  /** Whether the same operation may succeed if it is simply tried again. */
  retryable: boolean;
};

const entry = (meaning: string, remedy: string, exit: number = exitCodes.failed, retryable = false): CatalogueEntry => ({
  meaning,
  remedy,
  exit,
  retryable,
});

export const catalogue = {
  usage: entry('the command line is wrong', 'run the command with --help', exitCodes.usage),
  configuration: entry('holdfast.yaml is wrong', 'correct the line named above', exitCodes.usage),
  'configuration-missing': entry(
    'there is no holdfast.yaml here',
    'run `holdfast init`, or name a repository with --repository and --password-file',
    exitCodes.usage,
  ),
  'unknown-volume': entry('no such volume in this project', 'run `holdfast volumes`', exitCodes.usage),
  'volume-missing': entry(
    "the volume's root does not exist or is not a directory",
    'check the source of the volume in holdfast.yaml, and that it is mounted',
  ),
  'volume-empty': entry(
    'the volume is empty, and was not at the last snapshot',
    'check that the right thing is mounted; if it is meant to be empty, run again with --allow-empty',
  ),
  'volume-unreadable': entry('the volume cannot be read', 'run as a user who may read it'),
  'engine-unreachable': entry(
    'the Docker Engine cannot be reached',
    'check that it runs, and where: --docker-host, DOCKER_HOST or the Docker context',
    exitCodes.failed,
    true,
  ),
  'engine-denied': entry(
    'the Docker Engine refuses access',
    'run as root or as a member of the group docker; what that means is in docs/security.md',
  ),
  engine: entry('the Docker Engine could not do something', 'see its words in the message'),
  'container-down': entry(
    'a container did not come back as it should after a backup',
    'look at `docker ps -a` and its log, and start it; the snapshots are as good as they say',
  ),
  'daemon-running': entry('a daemon of this project runs already', 'stop the other one first, or use it: `holdfast status`'),
  'state-lost': entry(
    "the daemon's state was removed or replaced while it worked",
    'start it again, as systemd does by itself: it gathers what it knew from the repositories; old jobs, alerts and the audit log are gone',
  ),
  deadline: entry(
    'a job took longer than its deadline, or an answer of the API longer than it may',
    'look at its log for what took so long, or raise `deadline`',
  ),
  'request-invalid': entry('a request to the API is not as it should be', 'see the message, and /api/v1/openapi.json'),
  'request-conflict': entry('an Idempotency-Key was used before, for another request', 'use a new key for each thing that is asked for'),
  'request-too-large': entry('a request to the API is too large', 'send less at once'),
  'too-many-requests': entry(
    'the daemon is asked too much at once',
    'wait as long as the answer says, then ask again',
    exitCodes.failed,
    true,
  ),
  'not-authenticated': entry(
    'the API needs a token, and this is none that holds',
    'make one with `holdfast token create`, and give it in HOLDFAST_TOKEN or HOLDFAST_TOKEN_FILE',
  ),
  'not-permitted': entry('the role of the token does not allow that', 'use a token of another role: `holdfast token create --role ROLE`'),
  'resource-missing': entry('the API has nothing of that name', 'look at the list that it should be in'),
  'daemon-unreachable': entry('the daemon cannot be reached', 'start it with `holdfast up`, or check --server', exitCodes.failed, true),
  'notification-failed': entry(
    'a notification could not be delivered',
    'see its words in the message, correct the section of `notifications`, then run `holdfast notify test`',
    exitCodes.failed,
    true,
  ),
  'command-failed': entry('a command in a container or a hook failed', 'see its words in the message'),
  'dump-failed': entry(
    "an application's own tool could not write out its data",
    'see its words in the message, or choose another way with `cut: pause` or `cut: stop`',
  ),
  'volume-in-use': entry(
    'a volume is used in a way that a restore must not touch',
    'stop what uses it, then run again: nothing was changed',
  ),
  'migration-unfinished': entry(
    'a migration has begun here and not ended',
    'give the same `holdfast migrate` command again to carry it on, or with --undo to take it back',
  ),
  'restore-unfinished': entry(
    'an interrupted restore left this volume half-written',
    'run the same restore again: it verifies what is there and fetches the rest',
  ),
  'no-repository': entry(
    'there is no repository at this place',
    'check the URL, or create the repository with `holdfast init`',
    exitCodes.noRepository,
  ),
  'repository-exists': entry('there is a repository at this place already', 'use another place, or use the repository as it is'),
  'wrong-password': entry('no key of the repository opens with this password', 'check the password file', exitCodes.wrongPassword),
  'password-missing': entry(
    'no password was given for the repository',
    'give --password-file, or set HOLDFAST_PASSWORD_FILE or RESTIC_PASSWORD_FILE',
    exitCodes.usage,
  ),
  locked: entry(
    'another process is working on the repository',
    'wait until it has finished, or run `holdfast unlock` when you are sure that it is dead',
    exitCodes.locked,
    true,
  ),
  'unsupported-format': entry('the repository has a format that this version does not know', 'use a newer Holdfast'),
  damaged: entry(
    'data in the repository is not what was written',
    'run `holdfast check --read-data` to learn which snapshots are affected',
  ),
  'file-missing': entry('a file of the repository is missing', 'run `holdfast check` to learn which snapshots are affected'),
  'snapshot-missing': entry('no snapshot matches', 'run `holdfast snapshots`'),
  'snapshot-ambiguous': entry('several snapshots match this id', 'give more characters of the id'),
  'key-missing': entry('no key matches, or several do', 'run `holdfast key list`'),
  'key-needed': entry('this key must not be removed', 'open the repository with another key to remove this one'),
  'path-missing': entry('there is no such path in the snapshot', 'run `holdfast ls SNAPSHOT`'),
  'unsafe-name': entry('a name in the repository would lead out of the target', 'treat the repository as tampered with'),
  storage: entry('the storage of the repository failed', 'see the cause; nothing that was stored before is lost', exitCodes.failed, true),
  'storage-denied': entry(
    'the storage of the repository refuses access',
    'check the credentials, and what they may do: see docs/configuration.md',
  ),
  'storage-full': entry('the storage of the repository is full', 'make room, then run again: what was stored is reused'),
  'target-full': entry('the target of the restore is full', 'make room, then run the same restore again'),
  'target-unwritable': entry('the target of the restore cannot be written', 'check the path and its permissions'),
  'archive-damaged': entry(
    'an archive is cut, damaged, or no tar archive',
    'use another copy of the archive, or make it again; `tar -tf` shows how far it can be read',
  ),
  'archive-too-large': entry(
    'an archive holds more than an import takes',
    'if the archive is what it should be, allow more with --max-size',
  ),
  'temporary-space': entry('a temporary file cannot be written', 'make room, or name another folder in the environment variable TMPDIR'),
  'sensitive-plain': entry(
    'a sensitive volume would be written as plain text',
    'encrypt it with --recipient, --recipients-file or --passphrase-file, or accept that with --allow-plain-sensitive',
    exitCodes.usage,
  ),
  'output-lost': entry('the output of a command could not be written', 'make room where it goes, or send it elsewhere, then run again'),
  unsupported: entry('this system cannot do that', 'see the message'),
  interrupted: entry('interrupted', 'run again: what was stored is reused', exitCodes.interrupted, true),
  internal: entry('a defect in Holdfast', 'report it, with the message and the version'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

export type ErrorDetails = {
  volume?: string;
  file?: string;
  /** Overrides the remedy of the catalogue. */
  remedy?: string;
  /** How long the storage asks to wait before the same operation is tried again. */
  retryAfterMs?: number;
  cause?: unknown;
};

/** The only error that users are meant to see: a code of the catalogue, a message, and where it happened. */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly volume: string | undefined;
  readonly file: string | undefined;
  readonly remedy: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'HoldfastError';
    this.code = code;
    this.volume = details.volume;
    this.file = details.file;
    this.remedy = details.remedy ?? catalogue[code].remedy;
    this.retryAfterMs = details.retryAfterMs;
  }

  get exitCode(): number {
    return catalogue[this.code].exit;
  }
}

const ofContent: readonly ErrorCode[] = ['damaged', 'file-missing', 'unsafe-name', 'unsupported-format'];

/** Whether an error says something about what is stored. Any other (an outage, access denied) says nothing of it, and may pass. */
export const isOfContent = ({ code }: HoldfastError): boolean => ofContent.includes(code);

/** Whether a disk could not read this file or part (EIO, a bad sector): what lies elsewhere may be readable all the same. Unknown behind a thread. */
export function isOfMedium(error: HoldfastError): boolean {
  let cause: unknown = error;
  // A chain of causes is short; the bound is against one that leads back to itself.
  for (let depth = 0; cause instanceof Error && depth < 8; depth++, cause = cause.cause)
    if ((cause as NodeJS.ErrnoException).code === 'EIO') return true;
  return false;
}

/** The shape in which errors cross threads and appear in JSON output. */
export type ErrorDocument = { code: ErrorCode; message: string; remedy: string; volume?: string; file?: string };

export function errorDocument(error: unknown): ErrorDocument {
  if (!(error instanceof HoldfastError)) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { code: 'internal', message, remedy: catalogue.internal.remedy };
  }
  const { code, message, remedy, volume, file } = error;
  return { code, message, remedy, ...(volume === undefined ? {} : { volume }), ...(file === undefined ? {} : { file }) };
}

/** The inverse of {@link errorDocument}, for errors that crossed a thread. */
export function errorFromDocument(document: ErrorDocument): HoldfastError {
  return new HoldfastError(document.code, document.message, document);
}
