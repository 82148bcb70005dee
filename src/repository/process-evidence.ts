/**
 * Whether the process that wrote a lock lives still, told by evidence that cannot be mistaken. Host names and process ids repeat in
 * containers, so that they prove nothing. What identifies a process is the boot of the kernel that it runs on (`boot_id`, proc(5)), its
 * process namespace, its id there, and the clock tick in which it started.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { LockEvidence } from '../format/lock-file.ts';

/** What a process tells of itself in its lock. */
export type ProcessEvidence = Omit<LockEvidence, 'beacon'>;

export type Life = 'alive' | 'dead' | 'unknown';

/** The first process namespace of a kernel, in which every process shows (include/linux/proc_ns.h, PROC_PID_INIT_INO). */
const initialNamespace = 'pid:[4026531836]';

/** The evidence of this process; undefined where the system doesn't give it, or /proc shows another namespace than that of this process. */
export function ownEvidence(): ProcessEvidence | undefined {
  try {
    if (readlinkSync('/proc/self') !== String(process.pid)) return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const start = statOf(String(process.pid))?.start;
    return boot === '' || start === undefined ? undefined : { boot, namespaces: namespacesOf('self'), start };
  } catch {
    return undefined;
  }
}

/** Kernels before 5.6 know no namespaces of times. */
function namespacesOf(process: string): string {
  const pid = readlinkSync(`/proc/${process}/ns/pid`);
  try {
    return `${pid} ${readlinkSync(`/proc/${process}/ns/time`)}`;
  } catch {
    return pid;
  }
}

/**
 * Judges the process of that id and evidence, as this process (`own`) sees it.
 * - Same boot and namespaces: it shows, or it is dead.
 * - Same boot, and this process is in the first namespace of the kernel: whatever lives shows, with the id that it has in its own.
 * - Else nobody can tell from here.
 */
export function judgeProcess(pid: number, evidence: ProcessEvidence, own: ProcessEvidence): Life {
  if (own.boot !== evidence.boot) return 'unknown';
  if (own.namespaces === evidence.namespaces) return judgeHere(pid, evidence.start);
  const [ownProcesses, ownTimes] = own.namespaces.split(' ');
  const times = evidence.namespaces.split(' ')[1];
  // Ticks are counted otherwise in another namespace of times.
  return ownProcesses === initialNamespace && ownTimes === times ? judgeInside(pid, evidence.start) : 'unknown';
}

type ProcessStat = { state: string; threads: number; start: string };

/** @returns undefined when there is no such process. @throws when it must not be looked at. */
function statOf(pid: string): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
  // `pid (name) state ...`; the name may hold anything, the last parenthesis ends it. Fields as in proc_pid_stat(5), less two.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] as string, threads: Number(fields[17]), start: fields[19] as string };
}

/** A process that has ended but was not waited for (a zombie) holds no lock; one of its threads may still be in a call, writing. */
const isLiving = (stat: ProcessStat | undefined, start: string) =>
  stat !== undefined && stat.start === start && (!/^[ZX]/.test(stat.state) || stat.threads > 1);

function judgeHere(pid: number, start: string): Life {
  try {
    const stat = statOf(String(pid));
    if (stat !== undefined) return isLiving(stat, start) ? 'alive' : 'dead';
    // /proc may hide the processes of others (its option `hidepid`): a signal finds them.
    process.kill(pid, 0);
    return 'unknown';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'dead' : 'unknown';
  }
}

/** Looks for a process of an inner namespace: its ids from the outside in are in `NSpid` (proc_pid_status(5)). */
function judgeInside(pid: number, start: string): Life {
  try {
    // Where /proc hides processes, not all are there to be looked at.
    if (process.getuid?.() !== 0 && statOf('1') === undefined) return 'unknown';
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name) || !isLiving(statOf(name), start)) continue;
      const ids = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1]?.split(/\s+/);
      if (ids === undefined) return 'unknown';
      if (ids.at(-1) === String(pid)) return 'alive';
    }
    return 'dead';
  } catch {
    return 'unknown';
  }
}
