/** What crosses between the main thread and a lane: small messages, never the bytes of files. */
import type { SealKey } from '../../format/seal.ts';
import type { ErrorDocument } from '../../model/errors.ts';
import type { BlobIndex, BlobIndexMemory } from '../../repository/blob-index.ts';
import type { Repository } from '../../repository/repository.ts';
import type { StorageAddress } from '../../storage/storage.ts';

/** The kinds of work that a lane can be started for. */
export type LaneJob = 'backup' | 'restore' | 'check' | 'prune' | 'copy';

/** A repository, for a lane to open. */
export type LaneRepository = {
  /** What the composition root makes a storage from. */
  address: StorageAddress;
  config: Repository['config'];
  masterKey: SealKey;
  index: BlobIndexMemory;
};

/** What every lane gets at its start. */
export type LaneStart = LaneRepository & {
  job: LaneJob;
  /** Where a copy goes. */
  destination?: LaneRepository;
  /** What the job needs beside; see the job's lane module. */
  settings: unknown;
};

export type LaneContext = {
  repository: Repository;
  index: BlobIndex;
  /** Where a copy goes. */
  destination: { repository: Repository; index: BlobIndex } | undefined;
  settings: unknown;
  /** Tells the main thread something outside of a reply. */
  notify: (notice: unknown) => void;
};

/** Carries out one call after the other. What it throws becomes the caller's error. */
export type LaneHandler = (message: unknown) => Promise<unknown>;

/** A lane is told of its repository once, before the first call; `end` is the last that it hears. */
export type CallToLane = { call: number; message: unknown };
export type ToLane = { begin: LaneStart } | { end: true } | CallToLane;
export type FromLane = { call: number; reply: unknown } | { call: number; error: ErrorDocument } | { notice: unknown };
