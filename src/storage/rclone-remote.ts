/**
 * Remotes of rclone as URLs name them. A connection string (`remote,key=value:path`, `:backend,key=value:path`) may hold passwords, and the
 * arguments of a process are shown to everybody: its settings are given to rclone as variables of the environment, which only the same
 * user can read. https://rclone.org/docs/#connection-strings, https://rclone.org/docs/#config-file (environment variables)
 */
import { HoldfastError } from '../model/errors.ts';
import { redactUrls } from '../model/redact-url.ts';

export type RcloneRemote = {
  /** What rclone gets as its argument. */
  argument: string;
  /** Goes with it. */
  environment: Record<string, string>;
  /** For messages: without the settings. */
  shown: string;
  /** Values that must not appear in messages, though rclone may print them. */
  secrets: string[];
};

type Setting = { key: string; value: string };

/** Name of the remote that settings of a backend without a remote make. */
const ownRemote = 'holdfast_connection';

const connectionPattern = /^(:?)([^:,/]+),((?:[^:"']|"[^"]*"|'[^']*')*):(.*)$/s;
const settingPattern = /(?:^|,)([^=,"']+)(?:=("(?:[^"]|"")*"|'(?:[^']|'')*'|[^,"']*))?(?=,|$)/gy;
/** rclone's own settings, which no remote has. */
const isOfRclone = ({ key }: Setting): boolean => /^(global|override)\./.test(key);
const mayBeSecret = ({ key, value }: Setting): boolean =>
  /pass|secret|token|credential|key|sas|auth|cookie|pem/i.test(key) || redactUrls(value) !== value;

/**
 * @param inherits whether rclone will see the environment that the program is given which is started: over SSH it doesn't.
 * @throws `usage` for a connection string that cannot be read; for one with passwords that could be given as an argument only.
 */
export function readRemote(remote: string, inherits: boolean): RcloneRemote {
  const [, onTheFly, name = '', text = '', path] = connectionPattern.exec(remote) ?? [];
  if (onTheFly === undefined) return { argument: remote, environment: {}, shown: remote, secrets: [] };
  const settings = readSettings(text);
  const shown = `${onTheFly}${name},***:${path}`;
  const secrets = settings.map(({ value }) => value).filter((value) => value.length > 3);
  if (!inherits) {
    if (settings.some(mayBeSecret)) throw wouldShow(shown);
    return { argument: remote, environment: {}, shown, secrets };
  }
  const target = onTheFly === '' ? name : ownRemote;
  const environment = Object.fromEntries(
    settings.filter((setting) => !isOfRclone(setting)).map(({ key, value }) => [variableOf(target, key), value]),
  );
  if (onTheFly !== '') environment[variableOf(target, 'type')] = name;
  const rest = settings.filter(isOfRclone).map(({ key, value }) => `,${key}="${value.replaceAll('"', '""')}"`);
  return { argument: `${target}${rest.join('')}:${path}`, environment, shown, secrets };
}

/** Names of remotes keep their characters, but for the case. */
const variableOf = (remote: string, key: string): string => `RCLONE_CONFIG_${remote}_${key.replaceAll('-', '_')}`.toUpperCase();

function readSettings(text: string): Setting[] {
  const found = [...text.matchAll(settingPattern)];
  if (found.reduce((length, [whole]) => length + whole.length, 0) !== text.length) {
    throw new HoldfastError('usage', 'the connection string of the rclone remote cannot be read', {
      remedy: 'write it as remote,key=value:path, with values in quotes that hold commas, colons or quotes',
    });
  }
  // A key alone means that it is so.
  return found.map(([, key = '', value = 'true']) => ({ key, value: unquoted(value) }));
}

/** Quotes inside are doubled. */
function unquoted(value: string): string {
  const quote = value[0];
  return quote === '"' || quote === "'" ? value.slice(1, -1).replaceAll(quote + quote, quote) : value;
}

const wouldShow = (shown: string): HoldfastError =>
  new HoldfastError('usage', `the settings of rclone:${shown} would show in the list of processes`, {
    remedy: "put them into rclone's configuration where it runs, and name its remote: rclone:remote:path",
  });
