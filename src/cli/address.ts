/** What a storage is opened by: the URL, and what configuration, command line and environment say about it. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RepositoryConfiguration } from '../control/configuration/configuration.ts';
import { HoldfastError } from '../model/errors.ts';
import { parseSize } from '../model/quantities.ts';
import type { SharedLimit, StorageAddress } from '../storage/storage.ts';
import { createSharedLimit } from '../storage/with-limit.ts';
import { isLocalUrl } from './compose.ts';
import type { GlobalOptions } from './global-options.ts';

export type AddressSources = {
  /** A path or URL. */
  url: string;
  global: Pick<GlobalOptions, 'limitUpload' | 'limitDownload' | 'cache' | 'cacheDir'>;
  environment: NodeJS.ProcessEnv;
  /** What holdfast.yaml says of the repository. */
  configured?: Pick<RepositoryConfiguration, 'options' | 'limits' | 'cache'> | undefined;
  /** Absolute; relative paths of the command line and the environment start here. */
  cwd: string;
};

/**
 * The address of a repository's storage. Options of the command line go before holdfast.yaml.
 * @throws `usage` for limits that are none.
 */
export function addressOf({ url, global, configured }: AddressSources): StorageAddress {
  const upload = limitOf('--limit-upload', global.limitUpload, configured?.limits.uploadBytesPerSecond);
  const download = limitOf('--limit-download', global.limitDownload, configured?.limits.downloadBytesPerSecond);
  return {
    url,
    ...(configured && { options: configured.options }),
    ...((upload ?? download) && { limits: { ...(upload && { upload }), ...(download && { download }) } }),
  };
}

function limitOf(option: string, text: string | undefined, configuredBytes: number | undefined): SharedLimit | undefined {
  const bytes = text === undefined ? configuredBytes : parseSize(text);
  if (text !== undefined && !bytes) {
    throw new HoldfastError('usage', `${option} takes a size a second, not ${JSON.stringify(text)}`, {
      remedy: `for example: ${option} 10M`,
    });
  }
  return bytes === undefined ? undefined : createSharedLimit(bytes);
}

/**
 * The folder that holds the caches of repositories, a folder each: `--cache-dir`, HOLDFAST_CACHE_DIR, or `holdfast` in XDG_CACHE_HOME or
 * `~/.cache`. Undefined with `--no-cache` or `cache: false`, for a user who has no home, and
 * for local repositories, which gain nothing by it.
 */
export function cacheRootOf({ url, global, environment, configured, cwd }: AddressSources): string | undefined {
  if (global.cache === false || configured?.cache === false || isLocalUrl(url)) return undefined;
  const named = global.cacheDir ?? environment.HOLDFAST_CACHE_DIR;
  if (named) return resolve(cwd, named);
  // As the specification has it, a relative path there counts for nothing.
  if (environment.XDG_CACHE_HOME?.startsWith('/')) return join(environment.XDG_CACHE_HOME, 'holdfast');
  const home = environment.HOME || accountHome();
  return home === undefined ? undefined : join(home, '.cache', 'holdfast');
}

/** Undefined for a user without an account, as in containers. */
function accountHome(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
