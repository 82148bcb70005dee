import type { ControlPlane } from '../../control/control-plane.ts';
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
  /** Of jobs that one caller starts: each stays in the history. */
  starts: RateLimit;
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
