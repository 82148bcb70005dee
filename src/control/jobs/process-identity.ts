import { readFileSync } from 'node:fs';

/** A process, told apart from later ones of its id by the clock tick in which it started (proc(5), field 22 of stat). */
export type ProcessIdentity = { pid: number; startTicks: string };

/** Undefined when there is no such process. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  return startTicks === undefined || state === 'Z' || state === 'X' ? undefined : { pid, startTicks };
}

export const isAlive = ({ pid, startTicks }: ProcessIdentity): boolean => identityOf(pid)?.startTicks === startTicks;
