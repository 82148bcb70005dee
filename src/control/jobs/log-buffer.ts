import type { JobTable } from '../state/job-table.ts';

export type LogBuffer = { add(line: string): void; flush(): void };

const everyMs = 250;
const mostLines = 500;
/** UTF-16 units. */
const mostWaiting = 1024 * 1024;

/** How much of a log is kept, from its beginning and from its end. `bytes` are UTF-16 units. */
export const kept = { lines: 5_000, bytes: 2 * 1024 * 1024 } as const;
export const gapLine = JSON.stringify({ event: 'message', level: 'note', message: 'lines are left out here: the log is too long' });

/**
 * Lines of a job's log, written together every now and then: a commit a line would be the work of a job with many. What comes first says which
 * run it is, and is written at once. Of a long log the beginning and the end stay; numbers of lines jump where some were left out.
 */
export function createLogBuffer(
  jobs: Pick<JobTable, 'log' | 'removeLines'>,
  job: string,
  now: () => number,
  onWritten: () => void,
): LogBuffer {
  let lines: { atMs: number; line: string }[] = [];
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let first = true;
  const head = { lines: 0, bytes: 0 };
  /** Sizes of the lines after the head that are still there. */
  let tail: number[] = [];
  let tailBytes = 0;
  let headIsFull = false;

  /** Counts a line, and gives those to write for it. */
  const place = (entry: { atMs: number; line: string }) => {
    const { length } = entry.line;
    if (!headIsFull && head.lines < kept.lines && head.bytes + length <= kept.bytes) {
      head.lines++;
      head.bytes += length;
      return [entry];
    }
    tail.push(length);
    tailBytes += length;
    const isFirst = !headIsFull;
    headIsFull = true;
    return isFirst ? [{ atMs: entry.atMs, line: gapLine }, entry] : [entry];
  };

  /** Drops the middle, once the end is twice as long as what is kept of it. */
  const trim = (lastNumber: number) => {
    if (tail.length <= 2 * kept.lines && tailBytes <= 2 * kept.bytes) return;
    let dropped = 0;
    while (tail.length - dropped > kept.lines || tailBytes > kept.bytes) tailBytes -= tail[dropped++] as number;
    const firstOfTail = lastNumber - tail.length + 1;
    tail = tail.slice(dropped);
    jobs.removeLines(job, firstOfTail, firstOfTail + dropped);
  };

  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    const written = lines;
    lines = [];
    waiting = 0;
    const last = jobs.log(job, written.flatMap(place));
    if (last !== undefined) trim(last);
    onWritten();
  };
  return {
    add(line) {
      lines.push({ atMs: now(), line });
      waiting += line.length;
      if (first || lines.length >= mostLines || waiting >= mostWaiting) flush();
      else timer ??= setTimeout(flush, everyMs);
      first = false;
    },
    flush,
  };
}
