/**
 * Whether a lock is stale: its process is dead, or has been silent for too long. A live process must never be robbed, because a prune would
 * take what it has just stored; so what cannot be known is left to time.
 */
import { hostname } from 'node:os';
import type { LockEvidence, LockFile } from '../format/lock-file.ts';
import { parseTime } from '../format/time.ts';
import { type Beacon, judgeBeacon } from './beacon.ts';
import { judgeProcess, type Life, ownEvidence } from './process-evidence.ts';
import { processShows } from './process-shows.ts';

/** How often a lock is refreshed. */
export const refreshMs = 5 * 60 * 1000;
/** restic's: a lock that was not refreshed for so long is nobody's. */
export const staleMs = 30 * 60 * 1000;
/** A refresh was missed, with a minute's grace for clocks and slow storages. */
const missedRefreshMs = refreshMs + 60 * 1000;

/** The evidence that this process puts into its locks. */
export function evidenceWith(beacon: Beacon | undefined): { evidence?: LockEvidence } {
  const own = ownEvidence();
  if (own === undefined) return {};
  return { evidence: { ...own, ...(beacon === undefined ? {} : { beacon: beacon.place }) } };
}

/**
 * @param hostFile a file of the repository that all processes of this host have; see `Storage.hostFile`.
 */
export function isStale(lock: LockFile, nowMs: number, hostFile: string | undefined): boolean {
  const { evidence, pid } = lock;
  const ageMs = nowMs - parseTime(lock.time).sec * 1000;
  const own = evidence && ownEvidence();
  if (evidence === undefined || own === undefined) return isStaleByAge(lock, ageMs);
  const life = lifeOfBeacon(evidence, own.boot, hostFile);
  if (life !== 'unknown') return life === 'dead';
  // A process that lives may have left its lock behind: where locks cannot be removed, say.
  return judgeProcess(pid, evidence, own) === 'dead' || ageMs > staleMs;
}

function lifeOfBeacon({ beacon, boot }: LockEvidence, ownBoot: string, hostFile: string | undefined): Life {
  return beacon === undefined || hostFile === undefined ? 'unknown' : judgeBeacon(hostFile, beacon, boot === ownBoot);
}

/** Locks of restic, and of systems without evidence: "same host, no such process" alone proves nothing. */
function isStaleByAge(lock: LockFile, ageMs: number): boolean {
  if (ageMs > staleMs) return true;
  return lock.evidence === undefined && ageMs > missedRefreshMs && lock.hostname === hostname() && !processShows(lock.pid);
}
