/** What the main thread and the lanes of a prune say to each other; trees are walked as in a check (check-messages.ts). */
import type { StoredPack } from '../../repository/pack-writer.ts';
import type { CheckCall, CheckLaneSettings } from './check-messages.ts';

/** `visited` of a check is here one bit an entry for every blob that is used, trees and data. */
export type PruneLaneSettings = CheckLaneSettings & {
  /** Compress blobs of data that are not, when they are copied; trees are compressed in any case. */
  compressData: boolean;
};

export type PruneCall =
  | Extract<CheckCall, { call: 'trees' }>
  /** Copies blobs of one pack into new packs, verified. */
  | { call: 'copy'; entries: Uint32Array }
  /** Verifies blobs of one pack; one that is not intact is copied from where it is. */
  | { call: 'verify'; entries: Uint32Array }
  /** Answered with PartialPack[]: what filled no pack. */
  | { call: 'drain' };

export type PruneNotice = { notice: 'stored'; pack: StoredPack };
