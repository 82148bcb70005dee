import type { JobTable } from '../state/job-table.ts';

export type LogBuffer = { add(line: string): void; flush(): void };

const everyMs = 250;
const mostLines = 500;

/**
 * Lines of a job's log, written together every now and then: a commit a line would be the work of a job with many. What comes first says which
 * run it is, and is written at once.
 */
export function createLogBuffer(jobs: Pick<JobTable, 'log'>, job: string, now: () => number, onWritten: () => void): LogBuffer {
  let lines: { atMs: number; line: string }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let first = true;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    const written = lines;
    lines = [];
    jobs.log(job, written);
    onWritten();
  };
  return {
    add(line) {
      lines.push({ atMs: now(), line });
      if (first || lines.length >= mostLines) flush();
      else timer ??= setTimeout(flush, everyMs);
      first = false;
    },
    flush,
  };
}
