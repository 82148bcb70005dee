/** Passwords of new keys: random ones that Holdfast makes, and what they and others cost to derive from. */
import { randomBytes } from 'node:crypto';
import { passwordCost, randomKeyCost, type ScryptCost } from '../format/key-file.ts';
import { writeNewFile } from './new-file.ts';

/** Keys that Holdfast makes begin with this: they are known to be random, so that deriving from them need not be dear. */
const keyPrefix = 'holdfast-key-';
const randomKeyBytes = 32;
/** Base64url without padding. */
const randomKeyCharacters = Math.ceil((randomKeyBytes * 4) / 3);

/** Writes a file with a random key, readable by its owner only; it never replaces one. @returns the key. @throws `target-unwritable`. */
export async function makeKeyFile(path: string): Promise<Buffer> {
  const text = keyPrefix + randomBytes(randomKeyBytes).toString('base64url');
  await writeNewFile(path, `${text}\n`, 0o600);
  return Buffer.from(text);
}

/** What a guess at a new password should cost: little for those that `makeKeyFile` made, which cannot be guessed however cheap it is. */
export function costOf(password: Buffer): ScryptCost {
  const random = password.length >= keyPrefix.length + randomKeyCharacters && password.toString().startsWith(keyPrefix);
  return random ? randomKeyCost : passwordCost;
}
