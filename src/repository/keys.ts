/** The keys of a repository: files that each hold the master key, sealed under a password of its own. */
import { sha256Hex } from '../format/kernel/sha256.ts';
import { createKeyFile, type KeyFile, type KeyOwner, openKeyFile, parseKeyFile, type ScryptCost } from '../format/key-file.ts';
import type { SealKey } from '../format/seal.ts';
import { HoldfastError } from '../model/errors.ts';
import type { Storage } from '../storage/storage.ts';

export type FoundKey = { name: string; masterKey: SealKey };

/**
 * Tries every key file. A damaged one is no obstacle while another opens.
 * @param likely name of the key that opened last time: found right away, it saves the listing. Anything else about it is of no consequence.
 * @throws `wrong-password`; `damaged` when there are only damaged ones; `storage` when one that might open cannot be read.
 */
export async function findKey(storage: Storage, password: Buffer, likely?: string): Promise<FoundKey> {
  if (likely !== undefined) {
    const masterKey = await openKey(storage, likely, password).catch(() => undefined);
    if (masterKey) return { name: likely, masterKey };
  }
  let tried = 0;
  let damage: unknown;
  for await (const { name } of storage.list('keys')) {
    try {
      const masterKey = await openKey(storage, name, password);
      if (masterKey) return { name, masterKey };
      tried++;
    } catch (error) {
      damage = error;
    }
  }
  const isDamaged = damage instanceof HoldfastError && damage.code === 'damaged';
  if (damage !== undefined && !(isDamaged && tried > 0)) throw damage;
  throw new HoldfastError('wrong-password', `none of the keys of ${storage.location} opens with this password`);
}

/** A reply may look complete and not be: what is not right is read once more. @throws `damaged`, `file-missing`, `storage`. */
async function readKeyFile(storage: Storage, name: string): Promise<KeyFile> {
  const bytes = await storage.read({ kind: 'keys', name });
  return parseKeyFile(sha256Hex(bytes) === name ? bytes : await storage.read({ kind: 'keys', name }));
}

/** @returns undefined when the password is another key's. */
const openKey = async (storage: Storage, name: string, password: Buffer): Promise<SealKey | undefined> =>
  openKeyFile(await readKeyFile(storage, name), password);

/** What a key file tells without its password. `undefined` members are those of a file that is damaged. */
export type ListedKey = { name: string } & Partial<Pick<KeyFile, 'created' | 'username' | 'hostname'>>;

/** All keys, oldest first; damaged ones last. @throws `storage`. */
export async function listKeys(storage: Storage): Promise<ListedKey[]> {
  const keys: ListedKey[] = [];
  for await (const { name } of storage.list('keys')) {
    try {
      const { created, username, hostname } = await readKeyFile(storage, name);
      keys.push({ name, created, username, hostname });
    } catch (error) {
      if (!(error instanceof HoldfastError) || (error.code !== 'damaged' && error.code !== 'file-missing')) throw error;
      if (error.code === 'damaged') keys.push({ name });
    }
  }
  return keys.sort((a, b) => createdMs(a) - createdMs(b) || (a.name < b.name ? -1 : 1));
}

/** A time that cannot be read sorts last. */
const createdMs = ({ created }: ListedKey): number => {
  const ms = Date.parse(created ?? '');
  return Number.isNaN(ms) ? Number.MAX_SAFE_INTEGER : ms;
};

export type NewKey = {
  password: Buffer;
  /** How dear a guess at the password is; see format/key-file.ts. */
  cost: ScryptCost;
  owner: KeyOwner;
  now: Date;
};

/** Stores the master key under a password; durable when it resolves. @returns the key's name. @throws `storage`, `storage-full`. */
export async function storeKey(storage: Storage, masterKey: SealKey, { password, cost, owner, now }: NewKey): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(await createKeyFile(password, masterKey, cost, owner, now)));
  const name = sha256Hex(bytes);
  await storage.write({ kind: 'keys', name }, [bytes]);
  return name;
}

/**
 * As `storeKey`, and proves that the key opens: what was stored is read back.
 * @throws `damaged` when the storage gives back something else.
 */
export async function addKey(storage: Storage, masterKey: SealKey, key: NewKey): Promise<string> {
  const name = await storeKey(storage, masterKey, key);
  await proveKey(storage, name, key.password, masterKey);
  return name;
}

async function proveKey(storage: Storage, name: string, password: Buffer, masterKey: SealKey): Promise<void> {
  const opened = await openKeyFile(await readKeyFile(storage, name), password);
  const same = opened?.encrypt.equals(masterKey.encrypt) && opened.macK.equals(masterKey.macK) && opened.macR.equals(masterKey.macR);
  if (!same) throw new HoldfastError('damaged', `the new key file ${name} does not open as it should`, { file: `keys/${name}` });
}

/** The key whose name begins with `prefix`. @throws `key-missing`, also when several do. */
export function findKeyByName(keys: readonly ListedKey[], prefix: string): ListedKey {
  const matches = keys.filter(({ name }) => name.startsWith(prefix));
  const [match] = matches;
  if (match !== undefined && matches.length === 1) return match;
  const what = matches.length > 1 ? `${matches.length} keys have ids that begin` : 'no key has an id that begins';
  throw new HoldfastError('key-missing', `${what} with ${JSON.stringify(prefix)}`);
}
