/**
 * Redis, asked through its own `redis-cli` in its container. How it persists: redis.io/docs/latest/operate/oss_and_stack/management/persistence.
 */

import type { Clock } from '../../model/clock.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';

export type RedisContext = { containers: Containers; id: string; name: string; clock: Clock; signal: AbortSignal };

const commandMs = 30_000;
/** Saving a large data set takes its time. */
const saveMs = 60 * 60 * 1000;
/** Writes wait for no longer than that, though this process be killed. */
const holdMs = 10_000;
/** So long may the file system keep Redis from writing what it has acknowledged. */
const drainMs = 8000;
const [firstWaitMs, longestWaitMs] = [20, 500];

/** The password is that of the container's environment, and stays there. */
const script = [
  'if [ -z "$REDISCLI_AUTH" ] && [ -n "$REDIS_PASSWORD_FILE" ]; then REDIS_PASSWORD=$(cat "$REDIS_PASSWORD_FILE"); fi',
  'if [ -z "$REDISCLI_AUTH" ] && [ -n "$REDIS_PASSWORD" ]; then export REDISCLI_AUTH="$REDIS_PASSWORD"; fi',
  'exec redis-cli "$@"',
].join('\n');

async function ask({ containers, id, name, signal }: RedisContext, ...command: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await containers.exec(id, ['sh', '-c', script, 'sh', ...command], { timeoutMs: commandMs, signal });
  const reply = stdout.trim();
  // redis-cli ends with 0 though the server refuses.
  if (exitCode === 0 && !/^(ERR|NOAUTH|NOPERM|WRONGPASS|LOADING|BUSY|MISCONF|DENIED)\b/.test(reply)) return reply;
  throw new HoldfastError(
    'dump-failed',
    `Redis in container ${name} refuses ${command[0]}: ${(exitCode === 0 ? reply : stderr.trim() || reply).slice(-300)}`,
  );
}

/** Whether it keeps an append-only file; `unknown` when it doesn't say. */
export async function isAppendOnly(redis: RedisContext): Promise<boolean | 'unknown'> {
  try {
    return /\nyes$/.test(await ask(redis, 'CONFIG', 'GET', 'appendonly'));
  } catch (error) {
    if (redis.signal.aborted || !(error instanceof HoldfastError)) throw error;
    return 'unknown';
  }
}

type Persistence = {
  saving: boolean;
  /** Grows with every save; before Redis 7 the second of the last. */
  saves: number;
  lastSaveOk: boolean;
  bufferBytes: number;
};

async function persistence(redis: RedisContext): Promise<Persistence> {
  const info = await ask(redis, 'INFO', 'persistence');
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  return {
    saving: field('rdb_bgsave_in_progress') !== '0',
    saves: Number(field('rdb_saves') ?? field('rdb_last_save_time')),
    lastSaveOk: field('rdb_last_bgsave_status') === 'ok',
    bufferBytes: Number(field('aof_buffer_length') ?? 0),
  };
}

/** Lets Redis save what it holds into its volume, and waits until that is durable. @throws `dump-failed`. */
export async function saveInBackground(redis: RedisContext): Promise<void> {
  const late = redis.clock.now().getTime() + saveMs;
  await startSaving(redis, late);
  await until(redis, late, async () => !(await persistence(redis)).saving);
  if (!(await persistence(redis)).lastSaveOk) {
    throw new HoldfastError('dump-failed', `Redis in container ${redis.name} could not save (rdb_last_bgsave_status)`, {
      remedy: 'see its log: there may be no room, or no memory for a fork',
    });
  }
}

/** Begins a save that holds everything acknowledged until now: one that Redis has begun by itself may be older, and is waited for. */
async function startSaving(redis: RedisContext, late: number): Promise<void> {
  for (;;) {
    const before = await persistence(redis);
    // One that has to wait, for a rewrite of the append-only file, is scheduled, and begins by itself.
    const reply = before.saving ? alreadySaving : await ask(redis, 'BGSAVE', 'SCHEDULE').catch(replyWhileSaving);
    if (/^Background saving started/.test(reply)) return;
    if (/^Background saving scheduled/.test(reply)) return until(redis, late, async () => hasBegun(before, await persistence(redis)));
    if (reply !== alreadySaving) throw new HoldfastError('dump-failed', `Redis in container ${redis.name} does not save: ${reply}`);
    await until(redis, late, async () => !(await persistence(redis)).saving);
  }
}

const hasBegun = (before: Persistence, { saving, saves }: Persistence): boolean => saving || saves > before.saves;

const alreadySaving = 'Background save already in progress';

/** Redis may have begun a save of its own since it was asked whether it does. */
function replyWhileSaving(error: unknown): string {
  if (error instanceof HoldfastError && error.message.includes(alreadySaving)) return alreadySaving;
  throw error;
}

/**
 * Makes writes wait and everything that was acknowledged be in the append-only file: with `appendfsync everysec`, Redis acknowledges while it
 * puts off writing by up to two seconds. It ends by itself; old servers that don't know it (before 6.2) are left alone.
 */
export async function holdWrites(redis: RedisContext): Promise<void> {
  try {
    await ask(redis, 'CLIENT', 'PAUSE', String(holdMs), 'WRITE');
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'dump-failed') return;
    throw error;
  }
  await until(redis, redis.clock.now().getTime() + drainMs, async () => (await persistence(redis)).bufferBytes === 0);
}

/** The reverse of {@link holdWrites}. */
export async function releaseWrites(redis: RedisContext): Promise<void> {
  await ask({ ...redis, signal: new AbortController().signal }, 'CLIENT', 'UNPAUSE');
}

async function until({ clock, name, signal }: RedisContext, late: number, isSo: () => Promise<boolean>): Promise<void> {
  for (let waitMs = firstWaitMs; !(await isSo()); waitMs = Math.min(2 * waitMs, longestWaitMs)) {
    if (clock.now().getTime() > late) throw new HoldfastError('dump-failed', `Redis in container ${name} takes too long to save`);
    await clock.sleep(waitMs, signal);
  }
}
