/**
 * `rest:` storages: a server of restic's REST protocol, as restic's rest-server or `rclone serve restic`.
 * Settings: docs/configuration.md.
 */
import { readFileSync } from 'node:fs';
import { HoldfastError } from '../model/errors.ts';
import { connectionsTo } from './rest-connections.ts';
import { readRestOptions } from './rest-options.ts';
import { createRestProtocol } from './rest-protocol.ts';
import type { Storage, StorageAddress } from './storage.ts';

const optionNames = ['connections', 'timeout', 'ca', 'clientCertificate', 'clientKey'] as const;

/**
 * @param address `rest:http://...` or `rest:https://...`; user and password in it, or else of the environment (RESTIC_REST_USERNAME,
 * RESTIC_REST_PASSWORD). Options: `connections` (default 5, for each thread), `timeout` (of silence; default 5m), and the files, in PEM,
 * `ca`, `clientCertificate`, `clientKey` (default: in the file of the certificate).
 * @throws `usage` for a URL, an option or a file that cannot be used; messages don't repeat the URL.
 */
export function createRestStorage({ url, options = {} }: StorageAddress, environment: NodeJS.ProcessEnv = process.env): Storage {
  const { base, authorization } = parseUrl(url, environment);
  const { connections, idleTimeoutMs, given } = readRestOptions('rest', options, optionNames);
  const certificate = given.clientCertificate;
  const key = given.clientKey ?? certificate;
  if (certificate === undefined && key !== undefined) throw new HoldfastError('usage', 'option clientKey needs clientCertificate as well');
  const tls = { ...pem('ca', given.ca), ...pem('cert', certificate), ...pem('key', key) };
  const transport = connectionsTo({ base, connections, authorization, tls });
  return createRestProtocol({ transport, location: `rest:${base}`, connections, idleTimeoutMs });
}

function parseUrl(url: string, environment: NodeJS.ProcessEnv): { base: URL; authorization: string | undefined } {
  const text = url.replace(/^rest:/, '');
  const base = URL.parse(text);
  if (base === null || !/^https?:$/.test(base.protocol) || base.search !== '' || base.hash !== '')
    throw new HoldfastError('usage', 'this is no URL of a REST server', { remedy: 'write it as rest:https://user@host:port/path/' });
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const username = decoded(base.username) || environment.RESTIC_REST_USERNAME || '';
  const password = decoded(base.password) || environment.RESTIC_REST_PASSWORD || '';
  base.username = '';
  base.password = '';
  if (username === '' && password === '') return { base, authorization: undefined };
  return { base, authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function pem(name: 'ca' | 'cert' | 'key', file: string | undefined): { [name]?: Buffer } {
  if (file === undefined) return {};
  try {
    return { [name]: readFileSync(file) };
  } catch (cause) {
    const { message } = cause as Error;
    throw new HoldfastError('usage', `cannot read ${file}, which an option of the repository names: ${message}`, { file, cause });
  }
}
