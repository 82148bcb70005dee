/** What the main thread and the lanes of a check say to each other. */
import type { Damage } from './damage.ts';

/** Stored bytes of trees and packs read, and how many trees and packs are done. */
export const progressWords = { treeBytes: 0, packBytes: 1, done: 2 } as const;

export type CheckLaneSettings = {
  /** One bit an entry of the blob index: trees that some lane has taken on. */
  visited: SharedArrayBuffer;
  /** 64-bit words that all lanes count in, see {@link progressWords}. */
  progress: SharedArrayBuffer;
  /** A word that becomes 1 when the lanes must stop. */
  stop: SharedArrayBuffer;
};

export type CheckCall =
  /** Reads and inspects trees; answered with {@link TreesChecked}. */
  | { call: 'trees'; entries: Uint32Array }
  /** Reads a pack whole; answered with Damage[]. `entries` are in the order of their offsets. */
  | { call: 'pack'; pack: string; sizeBytes: number; entries: Uint32Array };

export type TreesChecked = {
  /** Trees that these refer to and that nobody had taken on yet: the caller's to hand out. */
  subtrees: Uint32Array;
  damages: Damage[];
};
