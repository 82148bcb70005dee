/** The `config` of a repository: its format version, its id and its chunker's polynomial. Never compressed. */
import { HoldfastError } from '../model/errors.ts';
import { parseRepositoryJson } from './sealed-json.ts';

export type RepositoryConfig = { version: number; id: string; chunkerPolynomial: bigint };

export function encodeConfig({ version, id, chunkerPolynomial }: RepositoryConfig): Buffer {
  return Buffer.from(JSON.stringify({ version, id, chunker_polynomial: chunkerPolynomial.toString(16) }));
}

/** @throws `damaged`; `unsupported-format` for versions other than 1 and 2. */
export function decodeConfig(json: Buffer): RepositoryConfig {
  const config = parseRepositoryJson(json, 'the configuration of the repository') as {
    version?: unknown;
    id?: unknown;
    chunker_polynomial?: unknown;
  } | null;
  if (config === null || !Number.isInteger(config.version))
    throw new HoldfastError('damaged', 'the configuration of the repository names no version');
  const { version, id, chunker_polynomial: polynomial } = config;
  if (version !== 1 && version !== 2)
    throw new HoldfastError('unsupported-format', `the repository has format version ${version}; this Holdfast knows 1 and 2`);
  if (typeof id !== 'string' || typeof polynomial !== 'string' || !/^[0-9a-f]{1,16}$/.test(polynomial)) {
    throw new HoldfastError('damaged', 'the configuration of the repository is incomplete');
  }
  return { version, id, chunkerPolynomial: BigInt(`0x${polynomial}`) };
}
