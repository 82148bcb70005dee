import { readFileSync } from 'node:fs';

/** Whether a process of that id shows from here. A process that has ended but was not waited for (a zombie) holds no lock. */
export function processShows(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    // `pid (name) state ...`; the name may hold anything, the last parenthesis ends it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true;
  }
}
