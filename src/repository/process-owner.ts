/** Who this process is, for locks and snapshots. */
import { hostname, userInfo } from 'node:os';

export type ProcessOwner = { hostname: string; username: string; uid: number; gid: number };

/** A user that the system's accounts don't know, as containers have them, has its number for a name. */
export function processOwner(): ProcessOwner {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return { hostname: hostname(), username: nameOfUser() ?? String(uid), uid, gid };
}

function nameOfUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
