/** Key files: the master key of a repository, sealed under a key derived from a password (restic design document, "Keys"). */
import { randomBytes, type ScryptOptions, scrypt } from 'node:crypto';
import { HoldfastError } from '../model/errors.ts';
import { createSeal, type SealKey } from './seal.ts';
import { parseRepositoryJson } from './sealed-json.ts';

export type ScryptCost = { N: number; r: number; p: number };

/** For passwords that people choose: half a second on a present machine, as restic calibrates it. */
export const passwordCost: ScryptCost = { N: 32768, r: 8, p: 6 };
/**
 * For key files that Holdfast made: 256 random bits cannot be guessed however cheap a guess is, so that stretching
 * them would only cost every run half a second.
 */
export const randomKeyCost: ScryptCost = { N: 16384, r: 8, p: 1 };

export type KeyFile = {
  created: string;
  username: string;
  hostname: string;
  kdf: 'scrypt';
  N: number;
  r: number;
  p: number;
  /** Base64. */
  salt: string;
  /** The sealed master key, base64. */
  data: string;
};

export type KeyOwner = { username: string; hostname: string };

/** Bounds for costs that a hostile key file may ask for: 1 GiB of memory, and 64 times what restic uses. */
const maxScryptMemoryBytes = 1024 * 1024 * 1024;
const maxScryptWork = 32768 * 8 * 512;

function derive(password: Buffer, salt: Buffer, { N, r, p }: ScryptCost): Promise<Buffer> {
  const options: ScryptOptions = { N, r, p, maxmem: 128 * N * r + 128 * r * p + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, 64, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

const sealKeyFromBytes = (bytes: Buffer): SealKey => ({
  encrypt: bytes.subarray(0, 32),
  macK: bytes.subarray(32, 48),
  macR: bytes.subarray(48, 64),
});

export const randomSealKey = (): SealKey => sealKeyFromBytes(randomBytes(64));

/** Go's encoding/json writes a file's times in the local zone; any zone reads back, so UTC serves. */
export async function createKeyFile(password: Buffer, master: SealKey, cost: ScryptCost, owner: KeyOwner, now: Date): Promise<KeyFile> {
  const salt = randomBytes(64);
  const userSeal = createSeal(sealKeyFromBytes(await derive(password, salt, cost)));
  const plain = JSON.stringify({
    mac: { k: master.macK.toString('base64'), r: master.macR.toString('base64') },
    encrypt: master.encrypt.toString('base64'),
  });
  const { N, r, p } = cost;
  const data = userSeal.seal(Buffer.from(plain)).toString('base64');
  return { created: now.toISOString(), ...owner, kdf: 'scrypt', N, r, p, salt: salt.toString('base64'), data };
}

/** @throws `damaged` when it isn't a key file, or one whose cost no honest writer would choose. */
export function parseKeyFile(bytes: Buffer): KeyFile {
  const key = parseRepositoryJson(bytes, 'a key file') as Partial<KeyFile> | null;
  const isCount = (value: unknown) => Number.isInteger(value) && (value as number) > 0;
  if (
    key?.kdf !== 'scrypt' ||
    typeof key.salt !== 'string' ||
    typeof key.data !== 'string' ||
    !isCount(key.N) ||
    !isCount(key.r) ||
    !isCount(key.p)
  ) {
    throw new HoldfastError('damaged', 'a key file lacks what a key file has');
  }
  const { N, r, p } = key as KeyFile;
  if (128 * N * r > maxScryptMemoryBytes || N * r * p > maxScryptWork || (N & (N - 1)) !== 0) {
    throw new HoldfastError('damaged', 'a key file asks for an absurd cost of its key derivation');
  }
  return key as KeyFile;
}

/** @returns the master key, or undefined when the password is not this key's. @throws `damaged` */
export async function openKeyFile(file: KeyFile, password: Buffer): Promise<SealKey | undefined> {
  const userSeal = createSeal(sealKeyFromBytes(await derive(password, Buffer.from(file.salt, 'base64'), file)));
  let plain: Buffer;
  try {
    plain = userSeal.open(Buffer.from(file.data, 'base64'));
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
  const master = parseRepositoryJson(plain, 'a master key') as { mac?: { k?: string; r?: string }; encrypt?: string } | null;
  const part = (text: string | undefined) => Buffer.from(text ?? '', 'base64');
  const key = { encrypt: part(master?.encrypt), macK: part(master?.mac?.k), macR: part(master?.mac?.r) };
  if (key.encrypt.length !== 32 || key.macK.length !== 16 || key.macR.length !== 16) {
    throw new HoldfastError('damaged', 'a master key does not have the lengths that it must have');
  }
  return key;
}
