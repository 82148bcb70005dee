/** What a backup changed of a volume, and whether that is usual there. Pure. */

/** What a snapshot is judged by. What is undefined is not known, and judges nothing. */
export type SnapshotFacts = {
  id: string;
  /** For messages. */
  time: string;
  timeMs: number;
  parent: string | undefined;
  /** When its backup began; undefined without a summary. */
  begunMs: number | undefined;
  files: number | undefined;
  bytes: number | undefined;
  filesNew: number;
  filesChanged: number;
  /** Bytes of new blobs, and as they are stored. */
  addedBytes: number;
  addedPackedBytes: number;
  /** Of new blobs, bytes that compression does not make fewer; undefined where nobody counted. */
  incompressibleBytes?: number;
  /** Files by kind, as file-kinds.ts writes it; undefined where nobody counted. */
  kinds?: string;
  unreadable: number;
  torn: boolean;
  tags: readonly string[];
};

/** So many good snapshots before are what is usual. */
const windowLength = 9;
/** Volumes of less shrink and churn by nature: percentages mean nothing there. */
export const fewFiles = 10;
export const fewBytes = 64 * 1024;

/** What the last good ones were like; the newest last. */
export type Usual = { files: number[]; bytes: number[]; churn: number[]; compression: number[]; growth: number[] };

/** Adds the newest, and lets the oldest go. */
export function remember(values: number[], value: number): void {
  values.push(value);
  if (values.length > windowLength) values.shift();
}

/** Undefined of nothing. */
export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

export type Change = {
  /** How much is new, in percent. */
  churn: number | undefined;
  /** Stored bytes for a byte that is new; undefined when too little is. */
  compression: number | undefined;
  /** How much of the volume is new and doesn't come of its growth. */
  replacedPercent: number | undefined;
  grownBytes: number | undefined;
};

/** @param bytesBefore what the snapshot before held; undefined where nobody knows. */
export function changeOf(snapshot: SnapshotFacts, bytesBefore: number | undefined): Change {
  const { bytes, addedBytes, addedPackedBytes } = snapshot;
  const grownBytes = bytes === undefined || bytesBefore === undefined ? undefined : bytes - bytesBefore;
  return {
    churn: churnOf(snapshot),
    compression: addedBytes < fewBytes ? undefined : addedPackedBytes / addedBytes,
    replacedPercent: grownBytes === undefined || !bytes ? undefined : (100 * (addedBytes - Math.max(0, grownBytes))) / bytes,
    grownBytes,
  };
}

/**
 * How much of a snapshot is new against its parent, in percent: of the files and of the bytes, whichever is less. A backup that reads
 * everything anew finds that all files are new, and stores none of their bytes. Undefined for first and for small ones.
 */
function churnOf({ parent, files, bytes, filesNew, filesChanged, addedBytes }: SnapshotFacts): number | undefined {
  if (parent === undefined || files === undefined || bytes === undefined) return undefined;
  if (files < fewFiles || bytes < fewBytes) return undefined;
  return 100 * Math.min((filesNew + filesChanged) / files, addedBytes / bytes, 1);
}

/** Only where little changes as a rule: what is written anew every day (a folder of dumps) churns by nature. */
export function isImplausible(churn: number, usual: readonly number[], percent: number | undefined): boolean {
  const habit = median(usual);
  return percent !== undefined && habit !== undefined && habit < percent / 2 && churn >= percent;
}

/** So many are a history, where one snapshot alone says too little. */
const leastHistory = 5;
const suspiciousReplacedPercent = 20;
/** Stored bytes for a byte of what compresses. */
export const compressible = 0.8;

/** A good part of the volume was overwritten, by what does not compress, where all that was new before did. */
export function isEncrypted({ compression, replacedPercent }: Change, usual: readonly number[]): boolean {
  if (compression === undefined || replacedPercent === undefined || usual.length < leastHistory) return false;
  return compression > 0.95 && Math.max(...usual) < compressible && replacedPercent >= suspiciousReplacedPercent;
}

/** Growth of less is nobody's trouble. */
const fewGrownBytes = 64 * 1024 * 1024;

/** By more than half of the volume at once, and by far more than ever of late. */
export function isRunaway(grownBytes: number, { growth, bytes }: Usual): boolean {
  const size = median(bytes);
  if (size === undefined || growth.length < leastHistory || grownBytes < Math.max(fewGrownBytes, size / 2)) return false;
  const usual = median(growth) as number;
  const deviation = median(growth.map((value) => Math.abs(value - usual))) as number;
  return grownBytes > Math.max(usual + 12 * deviation, 3 * Math.max(...growth));
}
