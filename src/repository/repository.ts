/** Making and opening repositories: key files, configuration, and the seal that everything else is written under. */
import { randomBytes } from 'node:crypto';
import { decodeConfig, encodeConfig, type RepositoryConfig } from '../format/config-file.ts';
import { sha256Hex } from '../format/kernel/sha256.ts';
import { randomSealKey } from '../format/key-file.ts';
import { createSeal, type Seal, type SealKey } from '../format/seal.ts';
import { openJson, sealJson } from '../format/sealed-json.ts';
import { HoldfastError } from '../model/errors.ts';
import type { FileKind, Storage } from '../storage/storage.ts';
import { type FoundKey, findKey, type NewKey, storeKey } from './keys.ts';

/** An opened repository: where it is, what it is, and the key that opens everything in it. Holds no state of its own. */
export type Repository = {
  storage: Storage;
  config: RepositoryConfig;
  masterKey: SealKey;
  /** Name of the key file that it was opened with; undefined in lanes, which get the master key itself. */
  keyName?: string;
  seal: Seal;
};

/** The key is the first of the repository. */
export type NewRepository = NewKey & {
  chunkerPolynomial: bigint;
  /** Default 2. */
  formatVersion?: 1 | 2;
};

/**
 * Creates a repository and opens it. The configuration, which makes it a repository, is written last; what an interrupted creation
 * left behind is carried on with.
 * @throws `repository-exists` when there is one already, or what another one left (data, or keys that this password doesn't open);
 * `storage`, `storage-full`.
 */
export async function createRepository(storage: Storage, options: NewRepository): Promise<Repository> {
  for (const kind of ['config', 'snapshots', 'index', 'data'] as const) {
    if (await holdsAny(storage, kind)) throw new HoldfastError('repository-exists', `there is a repository at ${storage.location} already`);
  }
  await storage.create();
  const { name: keyName, masterKey } = (await holdsAny(storage, 'keys'))
    ? await keyOfUnfinished(storage, options.password)
    : await storeNewKey(storage, options);
  const seal = createSeal(masterKey);
  const config: RepositoryConfig = {
    version: options.formatVersion ?? 2,
    id: randomBytes(32).toString('hex'),
    chunkerPolynomial: options.chunkerPolynomial,
  };
  await storage.write({ kind: 'config', name: '' }, [seal.seal(encodeConfig(config))]);
  return { storage, config, masterKey, keyName, seal };
}

async function storeNewKey(storage: Storage, options: NewRepository): Promise<FoundKey> {
  const masterKey = randomSealKey();
  return { name: await storeKey(storage, masterKey, options), masterKey };
}

/** A key without a configuration: a second one beside it would later open the repository with the wrong master key. */
async function keyOfUnfinished(storage: Storage, password: Buffer): Promise<FoundKey> {
  try {
    return await findKey(storage, password);
  } catch (cause) {
    if (!(cause instanceof HoldfastError) || cause.code !== 'wrong-password') throw cause;
    throw new HoldfastError('repository-exists', `there are keys of another repository at ${storage.location}`, { cause });
  }
}

async function holdsAny(storage: Storage, kind: FileKind): Promise<boolean> {
  if (kind !== 'config') {
    for await (const _ of storage.list(kind)) return true;
    return false;
  }
  try {
    await storage.sizeOf({ kind, name: '' });
    return true;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'file-missing') return false;
    throw error;
  }
}

/**
 * @param likelyKey name of the key that opened it last time, if known: saves a round trip.
 * @throws `no-repository`, `wrong-password`, `damaged`, `unsupported-format`, `storage`.
 */
export async function openRepository(storage: Storage, password: Buffer, likelyKey?: string): Promise<Repository> {
  // At the same time: a storage may be far away.
  const [sealedConfig, key] = await Promise.allSettled([readConfig(storage), findKey(storage, password, likelyKey)]);
  if (sealedConfig.status === 'rejected') throw sealedConfig.reason;
  if (key.status === 'rejected') throw key.reason;
  const { name: keyName, masterKey } = key.value;
  const seal = createSeal(masterKey);
  const config = await openConfig(storage, seal, sealedConfig.value);
  return { storage, config, masterKey, keyName, seal };
}

/** Nothing but its seal tells whether it came whole: what does not open is read once more before it counts as damaged. */
async function openConfig(storage: Storage, seal: Seal, sealed: Buffer): Promise<RepositoryConfig> {
  const open = (bytes: Buffer) => decodeConfig(openJson(seal, bytes));
  try {
    return open(sealed);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'damaged') throw error;
  }
  const again = await readConfig(storage);
  try {
    return open(again);
  } catch (cause) {
    if (!(cause instanceof HoldfastError) || cause.code !== 'damaged') throw cause;
    throw new HoldfastError('damaged', `the configuration of the repository: ${cause.message}`, { file: 'config', cause });
  }
}

/** @throws `no-repository`, `storage`. */
export async function requireConfig(storage: Storage): Promise<void> {
  await readConfig(storage);
}

async function readConfig(storage: Storage): Promise<Buffer> {
  try {
    return await storage.read({ kind: 'config', name: '' });
  } catch (cause) {
    if (!(cause instanceof HoldfastError) || cause.code !== 'file-missing') throw cause;
    throw new HoldfastError('no-repository', `there is no repository at ${storage.location}`, { cause });
  }
}

/** A JSON file (snapshot, index, lock) as it is stored, and the name under which: its hash. */
export function sealJsonFile(repository: Repository, json: Buffer): { name: string; sealed: Buffer } {
  const sealed = sealJson(repository.seal, json, repository.config.version);
  return { name: sha256Hex(sealed), sealed };
}

/** Stores a sealed JSON file. @returns its name. @throws `storage`, `storage-full`. */
export async function writeSealedJson(repository: Repository, kind: 'snapshots' | 'index', json: Buffer): Promise<string> {
  const { name, sealed } = sealJsonFile(repository, json);
  await repository.storage.write({ kind, name }, [sealed]);
  return name;
}

/** @returns the JSON of a sealed file. @throws `damaged` (naming the file), `file-missing`, `storage`. */
export async function readSealedJson(repository: Repository, kind: 'snapshots' | 'index' | 'locks', name: string): Promise<Buffer> {
  let sealed = await repository.storage.read({ kind, name });
  // A reply may look complete and not be: what is not right is read once more before it counts as damaged.
  if (sha256Hex(sealed) !== name) sealed = await repository.storage.read({ kind, name });
  if (sha256Hex(sealed) !== name)
    throw new HoldfastError('damaged', `${kind}/${name} is not what was written`, { file: `${kind}/${name}` });
  try {
    return openJson(repository.seal, sealed);
  } catch (cause) {
    if (!(cause instanceof HoldfastError)) throw cause;
    throw new HoldfastError('damaged', `${kind}/${name}: ${cause.message}`, { file: `${kind}/${name}`, cause });
  }
}
