import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { HoldfastError } from '../../model/errors.ts';
import { ageEncryption } from './age.ts';

async function encrypt(plain: Buffer, keys: Parameters<typeof ageEncryption>[0]): Promise<Buffer<ArrayBuffer>> {
  const pieces = (async function* () {
    for (let at = 0; at < plain.length; at += 1000) yield plain.subarray(at, at + 1000);
  })();
  return Buffer.concat(await Array.fromAsync(ageEncryption(keys)(pieces)));
}

const plain = Buffer.from('The quick brown fox.'.repeat(10_000));

test('who knows the passphrase can decrypt it', async () => {
  const bytes = await encrypt(plain, { passphrase: 'correct horse' });
  const decrypt = async (passphrase: string) => {
    const decrypter = new Decrypter();
    decrypter.addPassphrase(passphrase);
    return Buffer.from(await decrypter.decrypt(bytes));
  };
  assert.ok((await decrypt('correct horse')).equals(plain));
  await assert.rejects(decrypt('another'));
});

test('a recipient can decrypt it, to the last byte or not at all', async () => {
  const identity = await generateIdentity();
  const bytes = await encrypt(plain, { recipients: [await identityToRecipient(identity)] });
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  assert.ok(Buffer.from(await decrypter.decrypt(bytes)).equals(plain));
  await assert.rejects(decrypter.decrypt(bytes.subarray(0, -1)));
});

test('what is no recipient is refused, and not shown when it may be a secret', () => {
  for (const recipient of ['AGE-SECRET-KEY-1ABC', 'ssh-ed25519 AAAA', 'age1nothing', '']) {
    assert.throws(
      () => ageEncryption({ recipients: [recipient] }),
      (error) => error instanceof HoldfastError && error.code === 'usage' && (recipient === '' || !error.message.includes('SECRET')),
    );
  }
});
