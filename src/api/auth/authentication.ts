import type { AuditLog } from '../../control/state/log-tables.ts';
import { HoldfastError } from '../../model/errors.ts';
import type { Role } from '../contract/roles.ts';
import { createLockOut } from './limits.ts';
import type { Tokens } from './tokens.ts';

/** Who asks, and whether the token that said so still holds: of an answer that takes long, it is asked again and again. */
export type Authenticate = (
  authorization: string | undefined,
  address: string,
) => { caller: { name: string; role: Role }; holds(): boolean };

const holdsForMs = 2_000;

/**
 * Finds out who asks by the token. After wrong ones, an address is told to wait for longer and longer. A right one always passes: of 256 random
 * bits none can be guessed, and addresses are shared, by all users of this host for one, who could lock each other out.
 * @returns a function that throws `not-authenticated` and `too-many-requests`.
 */
export function createAuthentication(tokens: Tokens, auditLog: Pick<AuditLog, 'add'>, now: () => number): Authenticate {
  const lockOut = createLockOut();
  return (authorization, address) => {
    const secret = /^Bearer ([\w-]{1,200})$/i.exec(authorization ?? '')?.[1];
    const token = secret === undefined ? undefined : tokens.find(secret, now());
    if (secret === undefined || token === undefined) {
      const waitMs = lockOut.waitMs(address, now());
      if (waitMs > 0)
        throw new HoldfastError('too-many-requests', 'too many wrong tokens came from this address', { retryAfterMs: waitMs });
      if (authorization !== undefined && lockOut.failed(address, now()))
        auditLog.add({ atMs: now(), who: address, what: 'locked-out', document: { waitMs: lockOut.waitMs(address, now()) } });
      throw new HoldfastError('not-authenticated', authorization === undefined ? 'there is no token' : 'the token is none that holds');
    }
    lockOut.succeeded(address);
    const { name, role } = token;
    let lookedMs = now();
    let held = true;
    const holds = () => {
      // Also where the clock was put back.
      if (held && Math.abs(now() - lookedMs) >= holdsForMs) {
        held = tokens.find(secret, now())?.role === role;
        lookedMs = now();
      }
      return held;
    };
    return { caller: { name, role }, holds };
  };
}
