/** Who comes first when processors are short: what answers and schedules, before what works for long. */
import type { ChildProcess } from 'node:child_process';
import { constants, getPriority, setPriority } from 'node:os';

/** The nice value (setpriority(2)) that this process began with. */
let usual: number | undefined;

/** The daemon needs little, and must answer also while backups take all processors. Only root may put itself forward; elsewhere all stay equal. */
export function comeFirst(): void {
  attempt(() => {
    usual = getPriority();
    setPriority(Math.min(usual, constants.priority.PRIORITY_ABOVE_NORMAL));
  });
}

/** What was spawned just now has inherited the daemon's place; it works as everything does that is started here. */
export function workAsUsual({ pid }: ChildProcess): void {
  const value = usual;
  if (pid !== undefined && value !== undefined) attempt(() => setPriority(pid, value));
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Not permitted, or it has ended: all works as well, only later.
  }
}
