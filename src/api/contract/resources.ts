import * as z from 'zod/mini';
import { jobStates } from '../../control/jobs/job.ts';
import { anomalyKinds, conditions, reasonKinds } from '../../control/objectives/assessment.ts';

/**
 * What the API shows. Times are milliseconds since 1970, durations milliseconds, sizes bytes. A member that is absent is not known. Clients
 * must pass over members that they do not know.
 */

const count = () => z.int().check(z.gte(0));
const timeMs = () => z.int();
const durationMs = () => z.number();
const condition = () => z.enum(conditions);
const criticality = () => z.enum(['critical', 'moderate', 'low']);
const consistency = () => z.enum(['stopped', 'paused', 'dumped', 'frozen', 'crash', 'torn']);
const snapshotClass = () => z.enum(['scheduled', 'manual', 'guard']);
const name = () => z.string().check(z.minLength(1), z.maxLength(200), z.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/));
const names = () =>
  z.readonly(
    z.array(name()).check(
      z.minLength(1),
      z.maxLength(1000),
      z.refine((all) => new Set(all).size === all.length, 'each name stands there once'),
    ),
  );
const tag = () => z.string().check(z.minLength(1), z.maxLength(200), z.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.=:-]*$/));

const reason = z.object({
  kind: z.enum(reasonKinds),
  condition: z.enum(['at-risk', 'broken']),
  message: z.string(),
  remedy: z.string(),
});

const anomaly = z.object({ kind: z.enum(anomalyKinds), volume: z.string(), snapshot: z.string(), timeMs: timeMs(), message: z.string() });

const mark = z.object({ repository: z.string(), id: z.string(), run: z.string(), timeMs: timeMs(), consistency: consistency() });

export const volume = z.object({
  volume: z.string(),
  criticality: criticality(),
  sensitive: z.boolean(),
  condition: condition(),
  reasons: z.array(reason),
  newest: z.optional(mark),
  newestGood: z.optional(mark),
  rpo: z.object({ objectiveMs: durationMs(), ageMs: z.optional(durationMs()), breachAtMs: z.optional(z.number()) }),
  rto: z.object({
    objectiveMs: durationMs(),
    predictedMs: z.optional(durationMs()),
    leastMs: z.optional(durationMs()),
    mostMs: z.optional(durationMs()),
    basis: z.optional(z.enum(['drills', 'throughput'])),
  }),
  size: z.object({
    bytes: z.optional(z.number()),
    files: z.optional(z.number()),
    declaredBytes: z.optional(z.number()),
    growthBytesPerDay: z.optional(z.number()),
    fullAtMs: z.optional(z.number()),
  }),
  anomalies: z.array(anomaly),
  lastDrill: z.optional(z.object({ atMs: timeMs(), verified: z.boolean(), durationMs: durationMs() })),
});

export const repository = z.object({
  repository: z.string(),
  condition: condition(),
  reasons: z.array(reason),
  snapshots: count(),
  seenAtMs: z.optional(timeMs()),
  lastCheck: z.optional(z.object({ atMs: timeMs(), ok: z.boolean() })),
  lastForgetMs: z.optional(timeMs()),
});

export const status = z.object({
  project: z.string(),
  atMs: timeMs(),
  condition: condition(),
  volumes: z.array(volume),
  repositories: z.array(repository),
  reasons: z.array(reason),
});

export const objective = z.object({
  volume: z.string(),
  condition: condition(),
  rpo: volume.shape.rpo,
  rto: volume.shape.rto,
  reasons: z.array(reason),
});

/** What can be asked for, as in `holdfast.yaml`; it is refused when it names what is not there. */
export const jobSpec = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('backup'),
    repository: name(),
    volumes: z.optional(names()),
    class: z._default(z.enum(['scheduled', 'manual']), 'manual'),
    tags: z.optional(z.readonly(z.array(tag()).check(z.maxLength(50)))),
  }),
  z.strictObject({ kind: z.literal('forget'), repository: name() }),
  z
    .strictObject({
      kind: z.literal('check'),
      repository: name(),
      part: z._default(z.int().check(z.gte(1), z.lte(10_000)), 1),
      parts: z._default(z.int().check(z.gte(1), z.lte(10_000)), 1),
    })
    .check(z.refine(({ part, parts }) => part <= parts, 'part must not be above parts')),
  z.strictObject({ kind: z.literal('copy'), from: name(), to: name() }),
  z.strictObject({ kind: z.literal('drill'), repository: name(), volumes: z.optional(names()) }),
  z.strictObject({ kind: z.literal('usage') }),
]);

export const jobRequest = z.strictObject({
  spec: jobSpec,
  /** What waits with a higher number goes first; 8 when left out. */
  priority: z.optional(z.int().check(z.gte(0), z.lte(9))),
});

const progress = z.object({
  volume: z.optional(z.string()),
  filesDone: z.number(),
  filesTotal: z.optional(z.number()),
  bytesDone: z.number(),
  bytesTotal: z.optional(z.number()),
  atMs: timeMs(),
});

export const job = z.object({
  id: z.string(),
  spec: jobSpec,
  state: z.enum(jobStates),
  priority: z.int(),
  schedule: z.optional(z.string()),
  dueMs: z.optional(timeMs()),
  startedBy: z.string(),
  queuedMs: timeMs(),
  notBeforeMs: timeMs(),
  deadlineMs: durationMs(),
  startedMs: z.optional(timeMs()),
  endedMs: z.optional(timeMs()),
  attempt: z.int(),
  attempts: z.int(),
  losses: z.optional(z.int()),
  unsettled: z.optional(z.object({ sinceMs: timeMs(), untilMs: timeMs() })),
  exitCode: z.optional(z.int()),
  error: z.optional(
    z.object({
      code: z.string(),
      message: z.string(),
      remedy: z.string(),
      volume: z.optional(z.string()),
      file: z.optional(z.string()),
    }),
  ),
  result: z.optional(
    z.object({
      snapshots: z.array(
        z.object({
          volume: z.string(),
          id: z.string(),
          consistency: consistency(),
          unreadable: z.number(),
          bytes: z.number(),
          files: z.number(),
          addedBytes: z.number(),
          downtimeMs: z.optional(durationMs()),
        }),
      ),
      drilled: z.optional(
        z.array(
          z.object({
            volume: z.string(),
            snapshot: z.string(),
            bytes: z.number(),
            files: z.number(),
            durationMs: durationMs(),
            readBackMs: z.optional(durationMs()),
            verified: z.boolean(),
          }),
        ),
      ),
      findings: z.optional(z.record(z.string(), z.number())),
      warnings: z.number(),
    }),
  ),
  /** Of a job that waits: quiet hours keep it from beginning until then. */
  heldUntilMs: z.optional(timeMs()),
  /** Of a job that runs. */
  progress: z.optional(progress),
});

export const logLine = z.object({ number: z.int(), atMs: timeMs(), line: z.string() });

const upcoming = z.object({ task: z.string(), spec: jobSpec, dueMs: timeMs() });

export const snapshot = z.object({
  repository: z.string(),
  id: z.string(),
  project: z.string(),
  volume: z.string(),
  run: z.string(),
  timeMs: timeMs(),
  class: snapshotClass(),
  consistency: consistency(),
  repaired: z.boolean(),
  unreadable: z.number(),
  bytes: z.number(),
  files: z.number(),
  filesNew: z.number(),
  filesChanged: z.number(),
  addedBytes: z.number(),
  addedPackedBytes: z.number(),
  durationMs: durationMs(),
  downtimeMs: z.optional(durationMs()),
  tags: z.readonly(z.array(z.string())),
});

export const restorePoint = z.object({
  run: z.string(),
  repository: z.string(),
  /** Of its last snapshot. */
  timeMs: timeMs(),
  /** Volumes of the configuration that it lacks. */
  lacks: z.array(z.string()),
  snapshots: z.array(snapshot),
});

/** An entry of a snapshot, as `holdfast ls --json` has it. `path` is escaped where `path_base64` stands beside it. */
export const entry = z.object({
  path: z.string(),
  path_base64: z.optional(z.string()),
  type: z.string(),
  mode: z.int(),
  mtime: z.string(),
  uid: z.int(),
  gid: z.int(),
  user: z.string(),
  group: z.string(),
  size: z.number(),
  linkTarget: z.optional(z.string()),
});

export const difference = z.object({
  change: z.string(),
  path: z.string(),
  path_base64: z.optional(z.string()),
  type: z.string(),
});

export const usage = z.object({
  volume: z.string(),
  atMs: timeMs(),
  bytes: z.number(),
  files: z.optional(z.number()),
  capacityBytes: z.optional(z.number()),
});

export const drill = z.object({
  job: z.string(),
  volume: z.string(),
  snapshot: z.string(),
  atMs: timeMs(),
  bytes: z.number(),
  files: z.number(),
  durationMs: durationMs(),
  /** How much of it was reading everything back. */
  readBackMs: z.optional(durationMs()),
  verified: z.boolean(),
});

/** The configuration without addresses of repositories and without secrets. */
export const project = z.object({
  project: z.string(),
  version: z.string(),
  startedMs: timeMs(),
  volumes: z.array(z.string()),
  repositories: z.array(z.string()),
  upcoming: z.array(upcoming),
});

export const alert = z.object({
  id: z.string(),
  /** The same for as long as it is the same thing that is wrong. */
  key: z.string(),
  kind: z.string(),
  subject: z.object({ kind: z.string(), name: z.optional(z.string()) }),
  /** What was seen and may pass by itself, so that nobody was told yet, is no alert here. */
  state: z.enum(['raised', 'ended']),
  condition: z.enum(['at-risk', 'broken']),
  message: z.string(),
  remedy: z.string(),
  firstSeenMs: timeMs(),
  raisedMs: z.optional(timeMs()),
  endedMs: z.optional(timeMs()),
  acknowledged: z.optional(z.object({ by: z.string(), atMs: timeMs() })),
  /** Until then nothing new is told of what is wrong under its key. */
  silenced: z.optional(z.object({ by: z.string(), untilMs: timeMs() })),
});

export const acknowledgement = z.strictObject({
  /** So long nothing new is told; 0 ends a silence, none leaves it as it is. At most 30 days. */
  silenceMs: z.optional(z.int().check(z.gte(0), z.lte(30 * 86_400_000))),
});

export const auditEntry = z.object({
  number: z.int(),
  atMs: timeMs(),
  who: z.string(),
  what: z.string(),
  document: z.record(z.string(), z.unknown()),
});

/** A page of a list. With `next`, there is more: ask again with it as `cursor`. */
export const pageOf = <Item extends z.ZodMiniType>(item: Item) => z.object({ items: z.array(item), next: z.optional(z.string()) });
