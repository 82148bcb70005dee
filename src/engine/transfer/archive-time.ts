/** When an archive was made, as far as it tells. */

export type ArchiveTime = {
  ms: number;
  /** Where it comes from, for people. */
  from: string;
};

export type TimeHints = {
  /** Name of the archive's file, without folders. */
  fileName: string | undefined;
  fileTimeMs: number | undefined;
  /** The newest time of an entry that is not later than now. */
  newestEntryMs: number | undefined;
  nowMs: number;
};

/**
 * The time in the file's name (a day alone: the newest entry's time on that day), else that of the newest entry, else the file's own, else now.
 * Nothing later than now counts.
 */
export function archiveTime({ fileName, fileTimeMs, newestEntryMs, nowMs }: TimeHints): ArchiveTime {
  const named = fileName === undefined ? undefined : timeInName(fileName);
  if (named !== undefined && named.ms <= nowMs) {
    if (!named.dayOnly) return { ms: named.ms, from: "the file's name" };
    const onThatDay = newestEntryMs !== undefined && new Date(newestEntryMs).toDateString() === new Date(named.ms).toDateString();
    return onThatDay
      ? { ms: newestEntryMs, from: "the newest entry, on the day in the file's name" }
      : { ms: named.ms, from: "the file's name" };
  }
  if (newestEntryMs !== undefined) return { ms: newestEntryMs, from: 'the newest entry' };
  if (fileTimeMs !== undefined && fileTimeMs <= nowMs) return { ms: fileTimeMs, from: "the file's own time" };
  return { ms: nowMs, from: 'now: the archive tells none' };
}

const pattern = /(?<!\d)((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?:[T_\-. ]?(\d{2})[-_.:h]?(\d{2})(?:[-_.:m]?(\d{2}))?(Z?))?(?!\d)/;

/** A date, and perhaps a time, in the zone of this machine: `backup-2026-01-31T02-30-00.tar.gz`, `20260131_0230.tgz`. */
export function timeInName(name: string): { ms: number; dayOnly: boolean } | undefined {
  const match = pattern.exec(name);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = [1, 3, 4, 5, 6, 7].map((group) => Number(match[group] ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const utc = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const exists = utc.getUTCMonth() === month - 1 && utc.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!exists) return undefined;
  const date = match[8] === 'Z' ? utc : new Date(year, month - 1, day, hour, minute, second);
  return { ms: date.getTime(), dayOnly: match[5] === undefined };
}
