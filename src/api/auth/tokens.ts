import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { HoldfastError } from '../../model/errors.ts';
import type { Role } from '../contract/roles.ts';

export type Token = { name: string; role: Role; createdMs: number; expiresMs: number | undefined };

export type Tokens = {
  /** Makes a token and returns its secret, which nobody can find out later. @throws `usage` when the name is taken. */
  create(token: { name: string; role: Role; createdMs: number; expiresMs?: number }): string;
  list(): Token[];
  /** False when there is none of that name. */
  revoke(name: string): boolean;
  /** The token of a secret, unless it has expired. Also those are seen that another process has made or revoked just now. */
  find(secret: string, nowMs: number): Token | undefined;
};

/** By which scanners for secrets know it. */
const prefix = 'holdfast_';
/** A SHA-256 is enough: of 256 random bits nobody can try them all, as they could of a password, so that a slow hash would only be slow. */
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
const mostTokens = 1_000;

type Row = { name: string; hash: Uint8Array; role: string; created_ms: number; expires_ms: number | null };

export function createTokens(database: DatabaseSync): Tokens {
  const all = database.prepare('SELECT * FROM tokens ORDER BY created_ms, name');
  const insert = database.prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, ?)');
  const remove = database.prepare('DELETE FROM tokens WHERE name = ?');
  const read = () => (all.all() as Row[]).map(({ hash, ...row }) => ({ hash: Buffer.from(hash), token: tokenOf(row) }));
  return {
    create({ name, role, createdMs, expiresMs }) {
      const present = read();
      if (present.some(({ token }) => token.name === name))
        throw new HoldfastError('usage', `there is a token ${JSON.stringify(name)} already`, {
          remedy: `choose another name, or revoke it first: holdfast token revoke ${name}`,
        });
      if (present.length >= mostTokens) throw new HoldfastError('usage', `there are ${mostTokens} tokens`, { remedy: 'revoke some first' });
      const secret = prefix + randomBytes(32).toString('base64url');
      insert.run(name, hashOf(secret), role, createdMs, expiresMs ?? null);
      return secret;
    },
    list: () => read().map(({ token }) => token),
    revoke: (name) => remove.run(name).changes === 1,
    find(secret, nowMs) {
      const hash = hashOf(secret);
      let found: Token | undefined;
      // All are compared, and each in constant time: how long it takes says nothing of how much was right.
      for (const { hash: known, token } of read()) if (timingSafeEqual(known, hash)) found = token;
      return found === undefined || (found.expiresMs !== undefined && found.expiresMs <= nowMs) ? undefined : found;
    },
  };
}

const tokenOf = ({ name, role, created_ms: createdMs, expires_ms: expiresMs }: Omit<Row, 'hash'>): Token => ({
  name,
  role: role as Role,
  createdMs,
  expiresMs: expiresMs ?? undefined,
});
