/**
 * Whether files are overwritten, little by little, by what does not compress: encryption that hides below what is suspicious of one backup.
 * Sums up what goes beyond the habit of a volume: a cumulative sum control chart (Page, "Continuous Inspection Schemes", Biometrika 41,
 * 1954). Pure.
 */

/** So much of the volume, in sum and beyond its habit. */
const suspiciousPercent = 20;
/** So much a backup is nobody's trouble, in a volume that never did so: there may be one an hour. */
const leastAllowance = 0.1;
const leastHistory = 5;
const windowLength = 9;

/** What a backup changed of a volume. */
export type Overwriting = { files: number; bytes: number; filesChanged: number; incompressibleBytes: number; grownBytes: number };

export type EncryptionWatch = {
  /** Takes note of a backup. @returns how much of the volume it is by now, in percent, and since when; undefined while it is in order. */
  add(overwriting: Overwriting, time: string): { percent: number; since: string } | undefined;
  /** Whether what the last backups stored is nothing to learn from. */
  readonly doubtful: boolean;
  /** Somebody has looked at it. */
  forget(): void;
};

export function createEncryptionWatch(): EncryptionWatch {
  let habit: number[] = [];
  let sum = 0;
  let since = '';
  return {
    add(overwriting, time) {
      const percent = overwrittenPercent(overwriting);
      if (habit.length >= leastHistory) {
        const next = Math.max(0, sum + percent - Math.max(leastAllowance, 2 * Math.max(...habit)));
        if (sum === 0) since = time;
        sum = next;
      }
      if (sum === 0) {
        habit.push(percent);
        if (habit.length > windowLength) habit.shift();
      }
      return sum >= suspiciousPercent ? { percent: Math.min(100, sum), since } : undefined;
    },
    get doubtful() {
      return sum > 0;
    },
    forget() {
      habit = [];
      sum = 0;
    },
  };
}

/**
 * Of the files and of the bytes, whichever is less: a large archive that is written anew every night is one file. What comes in as new files, or
 * makes the volume grow, is an upload.
 */
function overwrittenPercent({ files, bytes, filesChanged, incompressibleBytes, grownBytes }: Overwriting): number {
  if (files === 0 || bytes === 0) return 0;
  return 100 * Math.min(1, filesChanged / files, Math.max(0, incompressibleBytes - Math.max(0, grownBytes)) / bytes);
}
