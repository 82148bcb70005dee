import * as z from 'zod/mini';
import { jobKinds, jobStates } from '../../control/jobs/job.ts';
import type { ErrorCode } from '../../model/errors.ts';
import * as resource from './resources.ts';
import { allowed, type Role } from './roles.ts';

/** The operations of the API: the server's routes, the OpenAPI document and the client are made of this table. */

export type Answer =
  | { kind: 'json'; status: 200 | 201; schema: z.ZodMiniType }
  /** Server-sent events. */
  | { kind: 'events' }
  /** A file. */
  | { kind: 'bytes' };

export type Operation = {
  method: 'get' | 'post';
  /** Below the base; `{name}` is a parameter. */
  path: string;
  summary: string;
  allowed: readonly Role[];
  parameters: z.ZodMiniObject;
  query: z.ZodMiniObject;
  body: z.ZodMiniType | undefined;
  /** Takes an `Idempotency-Key`. */
  idempotent?: boolean;
  answer: Answer;
  /** Beside those that any request can meet. */
  errors: readonly ErrorCode[];
};

export const basePath = '/api/v1';

const none = z.strictObject({});
const json = <S extends z.ZodMiniType>(schema: S) => ({ kind: 'json' as const, status: 200 as const, schema });
const bounded = (most: number, otherwise: number) => z._default(z.coerce.number().check(z.int(), z.gte(1), z.lte(most)), otherwise);
const cursor = z.optional(z.string().check(z.maxLength(4_000), z.regex(/^[A-Za-z0-9_~.-]+$/)));
const page = { limit: bounded(1000, 100), cursor };
const named = z.string().check(z.minLength(1), z.maxLength(200), z.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/));
/** What it is about, and when it was first seen. */
const alertId = z.strictObject({ alert: z.string().check(z.minLength(1), z.maxLength(280), z.regex(/^[a-zA-Z0-9][ -~]*$/)) });
const jobId = z.strictObject({ job: named });
const snapshotId = z.string().check(z.regex(/^[0-9a-f]{8,64}$/));
/** A path in a snapshot: no way out of it can be said. */
const snapshotPath = z.optional(
  z.string().check(
    z.maxLength(4096),
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no system call takes a path with this one.
    z.regex(/^[^\u0000]*$/, 'a path holds no NUL'),
    z.refine((path) => !path.split('/').includes('..'), 'a path in a snapshot holds no `..`'),
  ),
);
const inRepository = { repository: z.optional(named) };

type Rest = Partial<Pick<Operation, 'body' | 'idempotent' | 'errors'>>;

const operation = <P extends z.ZodMiniObject, Q extends z.ZodMiniObject, A extends Answer, const R extends Rest>(
  method: Operation['method'],
  path: string,
  who: readonly Role[],
  summary: string,
  { parameters, query }: { parameters: P; query: Q },
  answer: A,
  rest: R = {} as R,
) => ({
  method,
  path,
  allowed: who,
  summary,
  parameters,
  query,
  answer,
  body: rest.body as R extends { body: infer B extends z.ZodMiniType } ? B : undefined,
  idempotent: rest.idempotent ?? false,
  errors: rest.errors ?? [],
});

const reading = ['snapshot-missing', 'snapshot-ambiguous', 'path-missing', 'damaged', 'locked', 'storage', 'interrupted'] as const;

export const operations = {
  getProject: operation(
    'get',
    '/project',
    allowed.anyone,
    'The project, and what comes next',
    { parameters: none, query: none },
    json(resource.project),
  ),
  getStatus: operation(
    'get',
    '/status',
    allowed.anyone,
    'What is good, at risk and broken',
    { parameters: none, query: none },
    json(resource.status),
  ),
  listVolumes: operation(
    'get',
    '/volumes',
    allowed.anyone,
    'Volumes and their state',
    { parameters: none, query: z.strictObject(page) },
    json(resource.pageOf(resource.volume)),
  ),
  getVolume: operation(
    'get',
    '/volumes/{volume}',
    allowed.anyone,
    'One volume',
    { parameters: z.strictObject({ volume: named }), query: none },
    json(resource.volume),
    { errors: ['unknown-volume'] },
  ),
  listUsage: operation(
    'get',
    '/volumes/{volume}/usage',
    allowed.watchers,
    'How full a volume was, oldest first',
    {
      parameters: z.strictObject({ volume: named }),
      query: z.strictObject({ ...page, sinceMs: z.optional(z.coerce.number().check(z.int(), z.gte(0))) }),
    },
    json(resource.pageOf(resource.usage)),
    { errors: ['unknown-volume'] },
  ),
  listObjectives: operation(
    'get',
    '/objectives',
    allowed.watchers,
    'RPO and RTO of every volume',
    { parameters: none, query: z.strictObject(page) },
    json(resource.pageOf(resource.objective)),
  ),
  listRepositories: operation(
    'get',
    '/repositories',
    allowed.anyone,
    'Repositories and their state',
    { parameters: none, query: z.strictObject(page) },
    json(resource.pageOf(resource.repository)),
  ),
  listRestorePoints: operation(
    'get',
    '/restore-points',
    allowed.anyone,
    'Restore points, newest first',
    { parameters: none, query: z.strictObject({ limit: bounded(100, 20), cursor, ...inRepository }) },
    json(resource.pageOf(resource.restorePoint)),
  ),
  listSnapshots: operation(
    'get',
    '/snapshots',
    allowed.anyone,
    'Snapshots, newest first',
    { parameters: none, query: z.strictObject({ ...page, ...inRepository, volume: z.optional(named), run: z.optional(named) }) },
    json(resource.pageOf(resource.snapshot)),
  ),
  getSnapshot: operation(
    'get',
    '/snapshots/{snapshot}',
    allowed.anyone,
    'One snapshot',
    { parameters: z.strictObject({ snapshot: snapshotId }), query: z.strictObject(inRepository) },
    json(resource.snapshot),
    { errors: ['snapshot-missing', 'snapshot-ambiguous'] },
  ),
  listFiles: operation(
    'get',
    '/snapshots/{snapshot}/files',
    allowed.browsers,
    'What is in a directory of a snapshot',
    {
      parameters: z.strictObject({ snapshot: snapshotId }),
      query: z.strictObject({ ...page, ...inRepository, path: snapshotPath }),
    },
    json(resource.pageOf(resource.entry)),
    { errors: [...reading, 'deadline'] },
  ),
  downloadFile: operation(
    'get',
    '/snapshots/{snapshot}/content',
    allowed.restorers,
    'A file of a snapshot, or a directory as an archive',
    {
      parameters: z.strictObject({ snapshot: snapshotId }),
      query: z.strictObject({ ...inRepository, path: snapshotPath, archive: z._default(z.enum(['tar', 'zip']), 'tar') }),
    },
    { kind: 'bytes' },
    { errors: [...reading, 'usage'] },
  ),
  diffSnapshots: operation(
    'get',
    '/snapshots/{snapshot}/diff/{later}',
    allowed.browsers,
    'What changed from one snapshot to another of the same repository',
    {
      parameters: z.strictObject({ snapshot: snapshotId, later: snapshotId }),
      query: z.strictObject({ ...page, ...inRepository, path: snapshotPath }),
    },
    json(resource.pageOf(resource.difference)),
    { errors: [...reading, 'usage', 'deadline'] },
  ),
  startJob: operation(
    'post',
    '/jobs',
    allowed.operators,
    'Starts a job: it is queued before all that comes by itself',
    { parameters: none, query: none },
    { kind: 'json', status: 201, schema: resource.job },
    { body: resource.jobRequest, idempotent: true, errors: ['usage', 'unknown-volume', 'request-conflict'] },
  ),
  listJobs: operation(
    'get',
    '/jobs',
    allowed.watchers,
    'Jobs, newest first',
    {
      parameters: none,
      query: z.strictObject({
        ...page,
        kind: z.optional(z.enum(jobKinds)),
        state: z.optional(z.enum(jobStates)),
        volume: z.optional(named),
        schedule: z.optional(z.string().check(z.minLength(1), z.maxLength(200))),
      }),
    },
    json(resource.pageOf(resource.job)),
  ),
  getJob: operation('get', '/jobs/{job}', allowed.watchers, 'One job', { parameters: jobId, query: none }, json(resource.job), {
    errors: ['resource-missing'],
  }),
  cancelJob: operation(
    'post',
    '/jobs/{job}/cancel',
    allowed.operators,
    'Ends a job soundly, or takes it out of the queue; one that is over stays as it is',
    { parameters: jobId, query: none },
    json(resource.job),
    { errors: ['resource-missing'] },
  ),
  readJobLog: operation(
    'get',
    '/jobs/{job}/log',
    allowed.operators,
    "A job's log, oldest first; `next` is there also at its end, to ask for what comes",
    { parameters: jobId, query: z.strictObject(page) },
    json(resource.pageOf(resource.logLine)),
    { errors: ['resource-missing'] },
  ),
  followJob: operation(
    'get',
    '/jobs/{job}/events',
    allowed.operators,
    "A job as it goes: `log` (its lines; the event's id is the line's number, from which `Last-Event-ID` carries on), `job` and `end`",
    { parameters: jobId, query: none },
    { kind: 'events' },
    { errors: ['resource-missing'] },
  ),
  listDrills: operation(
    'get',
    '/drills',
    allowed.watchers,
    'Rehearsed restores, newest first; a page is of whole jobs',
    { parameters: none, query: z.strictObject(page) },
    json(resource.pageOf(resource.drill)),
  ),
  listAlerts: operation(
    'get',
    '/alerts',
    allowed.watchers,
    'What somebody was told of, newest first',
    { parameters: none, query: z.strictObject({ ...page, state: z.optional(z.enum(['raised', 'ended'])) }) },
    json(resource.pageOf(resource.alert)),
  ),
  getAlert: operation('get', '/alerts/{alert}', allowed.watchers, 'One alert', { parameters: alertId, query: none }, json(resource.alert), {
    errors: ['resource-missing'],
  }),
  acknowledgeAlert: operation(
    'post',
    '/alerts/{alert}/acknowledge',
    allowed.operators,
    'Says that somebody has taken note, and if asked to, silences it for a while; one that is over stays as it is',
    { parameters: alertId, query: none },
    json(resource.alert),
    { body: resource.acknowledgement, errors: ['resource-missing'] },
  ),
  listAuditLog: operation(
    'get',
    '/audit-log',
    allowed.administrators,
    'Who did what, newest first',
    { parameters: none, query: z.strictObject(page) },
    json(resource.pageOf(resource.auditEntry)),
  ),
  followEvents: operation(
    'get',
    '/events',
    allowed.watchers,
    'What happens: `job`, `evidence`, `status` and `configuration`; after `reset`, what happened before is not told, and lists should be read anew',
    { parameters: none, query: none },
    { kind: 'events' },
  ),
} satisfies Record<string, Operation>;

export type OperationId = keyof typeof operations;
export const operationIds = Object.keys(operations) as OperationId[];

/** What callers give. */
export type ParametersOf<Id extends OperationId> = z.input<(typeof operations)[Id]['parameters']>;
export type QueryOf<Id extends OperationId> = z.input<(typeof operations)[Id]['query']>;
export type BodyOf<Id extends OperationId> = (typeof operations)[Id]['body'] extends infer B extends z.ZodMiniType ? z.input<B> : undefined;

/** What handlers are given: checked, with defaults. */
export type Call<Id extends OperationId> = {
  parameters: z.output<(typeof operations)[Id]['parameters']>;
  query: z.output<(typeof operations)[Id]['query']>;
  body: (typeof operations)[Id]['body'] extends infer B extends z.ZodMiniType ? z.output<B> : undefined;
};
export type AnswerOf<Id extends OperationId> = (typeof operations)[Id]['answer'] extends { schema: infer S extends z.ZodMiniType }
  ? z.output<S>
  : never;
export type JsonOperation = { [Id in OperationId]: (typeof operations)[Id]['answer'] extends { kind: 'json' } ? Id : never }[OperationId];
export type EventsOperation = {
  [Id in OperationId]: (typeof operations)[Id]['answer'] extends { kind: 'events' } ? Id : never;
}[OperationId];
