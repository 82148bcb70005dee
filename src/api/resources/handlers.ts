import type { ControlPlane } from '../../control/control-plane.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { RateLimit } from '../auth/limits.ts';
import type { AnswerOf, Call, EventsOperation, JsonOperation } from '../contract/operations.ts';
import type { Role } from '../contract/roles.ts';
import type { IdempotencyKeys } from '../idempotency.ts';
import type { Turns } from '../turns.ts';

/** Who asks. */
export type Caller = { name: string; role: Role };

/** What handlers work with. */
export type Served = {
  plane: ControlPlane;
  keys: IdempotencyKeys;
  /** Of what one caller starts and changes: all of it stays in the history. */
  changes: RateLimit;
  /** Of processes that read repositories: each takes memory for an index. */
  readers: Turns;
  now(): number;
};

export type Asked<Id extends keyof CallOf> = CallOf[Id] & {
  caller: Caller;
  /** Aborts when the answer is complete, or nobody waits for it any more. */
  signal: AbortSignal;
  idempotencyKey: string | undefined;
  lastEventId: string | undefined;
};

type CallOf = { [Id in JsonOperation | EventsOperation | 'downloadFile']: Call<Id> };

export type JsonHandler<Id extends JsonOperation> = (served: Served, asked: Asked<Id>) => AnswerOf<Id> | Promise<AnswerOf<Id>>;

/** A file on its way. */
export type Download = { name: string; bytes: AsyncGenerator<Uint8Array> };

/** @throws `too-many-requests` when somebody changes too much at once. */
export function requirePace(changes: RateLimit, { name }: Caller, nowMs: number): void {
  const retryAfterMs = changes.take(name, nowMs);
  if (retryAfterMs > 0)
    throw new HoldfastError('too-many-requests', 'too much was started or changed one after the other', { retryAfterMs });
}
