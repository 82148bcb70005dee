import type { JsonOperation } from '../contract/operations.ts';
import type { EventFeed } from '../event-feed.ts';
import * as alerts from './alerts.ts';
import type { Asked, JsonHandler, Served } from './handlers.ts';
import * as jobs from './jobs.ts';
import * as project from './project.ts';
import * as snapshots from './snapshots.ts';

export type { Asked, Caller, Served } from './handlers.ts';

export type StreamHandler = (served: Served & { feed: EventFeed }, asked: Asked<'followJob'>) => AsyncGenerator<string>;

type Handlers = { [Id in JsonOperation]: JsonHandler<Id> } & {
  followJob: StreamHandler;
  followEvents: StreamHandler;
  downloadFile: typeof snapshots.downloadFile;
};

/** What answers each operation of the contract. */
export const handlers: Handlers = {
  ...project,
  ...alerts,
  listSnapshots: snapshots.listSnapshots,
  getSnapshot: snapshots.getSnapshot,
  listRestorePoints: snapshots.listRestorePoints,
  listFiles: snapshots.listFiles,
  diffSnapshots: snapshots.diffSnapshots,
  downloadFile: snapshots.downloadFile,
  startJob: jobs.startJob,
  cancelJob: jobs.cancelJob,
  getJob: jobs.getJob,
  listJobs: jobs.listJobs,
  readJobLog: jobs.readJobLog,
  listDrills: jobs.listDrills,
  listAuditLog: jobs.listAuditLog,
  followJob: jobs.followJob,
  followEvents: ({ feed }, { lastEventId, signal }) => feed.follow(lastEventId, signal),
};
