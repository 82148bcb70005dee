/** Counts that every lane keeps in a row of shared memory of its own, so that the main thread can show progress without a message. */

export const counterNames = [
  'filesNew',
  'filesChanged',
  'filesUnmodified',
  'dirsNew',
  'dirsChanged',
  'dirsUnmodified',
  'dataBlobs',
  'treeBlobs',
  'dataAdded',
  'dataAddedPacked',
  /** Bytes of `dataAdded` that compression does not make fewer. */
  'dataIncompressible',
  'totalFilesProcessed',
  'totalBytesProcessed',
  /** Files and directories whose content is not in the snapshot though it should be. */
  'unreadable',
  /** Extended attributes, or all of those of a file, that could not be read: what else the file has is in the snapshot. */
  'unreadableAttributes',
  /** Files that changed while they were read, or vanished before. */
  'changedWhileRead',
] as const;

export type CounterName = (typeof counterNames)[number];
export type Counts = Record<CounterName, number>;

const slotOf = Object.fromEntries(counterNames.map((name, slot) => [name, slot])) as Counts;

export const createCounters = (lanes: number): SharedArrayBuffer => new SharedArrayBuffer(lanes * counterNames.length * 8);

/** Clears all rows: a new volume begins. The lanes must be idle. */
export const clearCounters = (counters: SharedArrayBuffer): void => void new Float64Array(counters).fill(0);

export type Counter = (name: CounterName, add: number) => void;

export function counterOfLane(counters: SharedArrayBuffer, lane: number): Counter {
  const row = new Float64Array(counters, lane * counterNames.length * 8, counterNames.length);
  return (name, add) => {
    const slot = slotOf[name];
    row[slot] = (row[slot] as number) + add;
  };
}

/** Sums over all lanes; what a lane is just writing may be a moment old. */
export function sumCounters(counters: SharedArrayBuffer): Counts {
  const all = new Float64Array(counters);
  const sums = Object.fromEntries(counterNames.map((name) => [name, 0])) as Counts;
  for (let at = 0; at < all.length; at++) sums[counterNames[at % counterNames.length] as CounterName] += all[at] as number;
  return sums;
}
