/** Options that storages by restic's REST protocol share. */
import { HoldfastError } from '../model/errors.ts';
import { parseDuration } from '../model/quantities.ts';

const defaultConnections = 5;
const mostConnections = 100;
/** As long as restic waits: servers list and store slowly when what is behind them does. */
const defaultIdleTimeoutMs = 5 * 60 * 1000;
const longestTimeoutMs = 24 * 60 * 60 * 1000;

/**
 * Reads `connections` (1 to 100) and `timeout` (a duration); what else is `allowed` is left to the storage.
 * @throws `usage` for options that are not allowed, and for values that cannot be used.
 */
export function readRestOptions<Name extends string>(
  scheme: string,
  options: Readonly<Record<string, string>>,
  allowed: readonly Name[],
): { connections: number; idleTimeoutMs: number; given: Partial<Record<Name, string>> } {
  const unknown = Object.keys(options).find((name) => !(allowed as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new HoldfastError('usage', `${scheme}: storages have no option ${JSON.stringify(unknown)}`, {
      remedy: `there are ${allowed.join(', ')}`,
    });
  const connections = Number(options.connections ?? defaultConnections);
  if (!Number.isInteger(connections) || connections < 1 || connections > mostConnections)
    throw new HoldfastError('usage', `option connections must be a number from 1 to ${mostConnections}`);
  const idleTimeoutMs = options.timeout === undefined ? defaultIdleTimeoutMs : parseDuration(options.timeout);
  if (idleTimeoutMs === undefined || idleTimeoutMs < 1000 || idleTimeoutMs > longestTimeoutMs)
    throw new HoldfastError('usage', 'option timeout must be a duration from 1s to 1d, as 5m');
  return { connections, idleTimeoutMs, given: options as Partial<Record<Name, string>> };
}
