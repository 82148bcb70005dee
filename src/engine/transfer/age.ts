/** Encryption of archives as the program `age` does it (https://age-encryption.org/v1), for whoever has the key or the passphrase. */
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { Encrypter } from 'age-encryption';
import { HoldfastError } from '../../model/errors.ts';

export type AgeKeys = { recipients: readonly string[] } | { passphrase: string };

/** scrypt takes 128 MiB with it while the key is made: half of what `age` takes by itself, which reads both. */
const scryptWorkFactor = 17;

/**
 * A function that encrypts a stream, in pieces of 64 KiB; a cut stream cannot be decrypted to its end.
 * @throws `usage` when a recipient is none.
 */
export function ageEncryption(keys: AgeKeys): (bytes: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  const encrypter = new Encrypter();
  if ('passphrase' in keys) {
    encrypter.setScryptWorkFactor(scryptWorkFactor);
    encrypter.setPassphrase(keys.passphrase);
  } else for (const recipient of keys.recipients) addRecipient(encrypter, recipient);
  return async function* encrypted(bytes) {
    const stream = Readable.toWeb(Readable.from(bytes, { objectMode: false })) as ReadableStream<Uint8Array<ArrayBuffer>>;
    yield* (await encrypter.encrypt(stream)) as unknown as AsyncIterable<Uint8Array>;
  };
}

function addRecipient(encrypter: Encrypter, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    // A secret key that was mistaken for a recipient must not be shown.
    const shown = /^age1[a-z0-9]+$/.test(recipient) ? JSON.stringify(recipient) : 'what was given';
    throw new HoldfastError('usage', `${shown} is no recipient of age`, {
      remedy: 'a recipient begins with `age1`: `age-keygen -y KEYFILE` prints that of a key',
      cause,
    });
  }
}
