/** Options that every command takes, before or after its name. No command may declare an option with one of these names. */
export type GlobalOptions = {
  /** One JSON document or event a line, instead of text. */
  json: boolean;
  /** Nothing but the result. */
  quiet: boolean;
  verbose: boolean;
  /** A URL, or the name of a repository in holdfast.yaml. */
  repository?: string;
  passwordFile?: string;
  /** A shell command whose first line of output is the password. */
  passwordCommand?: string;
  /** How long to wait while others hold the repository; without it, not at all. */
  retryLock?: string;
  /** Sizes: bytes a second. */
  limitUpload?: string;
  limitDownload?: string;
  /** Folder of the caches of metadata. */
  cacheDir?: string;
  /** False with `--no-cache`. */
  cache?: boolean;
  /** Address of the Docker Engine, as in DOCKER_HOST. */
  dockerHost?: string;
  /** Where the daemon's API is, for commands that ask a daemon. */
  server?: string;
  /** Another file than `holdfast.yaml`. */
  config?: string;
  /** Work as if started in this directory. */
  directory?: string;
  /** False with `--no-color`; NO_COLOR and the terminal have their say as well, see `output.ts`. */
  color: boolean;
};

export const globalOptions: readonly { flags: string; description: string }[] = [
  { flags: '--json', description: 'print one JSON document or event a line' },
  { flags: '-q, --quiet', description: 'print nothing but the result' },
  { flags: '-v, --verbose', description: 'print more' },
  { flags: '-r, --repository <url|name>', description: 'work on this repository' },
  { flags: '-p, --password-file <file>', description: "read the repository's password from this file" },
  { flags: '--password-command <command>', description: "run this to get the repository's password" },
  { flags: '--retry-lock <duration>', description: 'wait so long while others hold the repository (`10m`)' },
  { flags: '--limit-upload <size>', description: 'send at most so much a second to storages (`10M`)' },
  { flags: '--limit-download <size>', description: 'fetch at most so much a second from storages' },
  { flags: '--cache-dir <directory>', description: 'keep the cache of metadata here' },
  { flags: '--no-cache', description: 'use no cache of metadata' },
  { flags: '--docker-host <address>', description: 'find volumes at this Docker Engine (unix://, tcp://, ssh://)' },
  { flags: '--server <url>', description: 'of status, jobs, alerts, snapshots: ask the daemon there' },
  { flags: '-c, --config <file>', description: 'use this file instead of holdfast.yaml' },
  { flags: '-C, --directory <directory>', description: 'work as if started in this directory' },
  { flags: '--no-color', description: 'print without colours' },
];
