import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../../model/errors.ts';
import type { SecretSource, UrlSource } from '../configuration/configuration.ts';

/** Finds secrets when they are needed, and takes those that it has found out of texts. */
export type Secrets = {
  /** @throws `notification-failed` when there is none. */
  read(source: SecretSource): Promise<string>;
  /** @throws `notification-failed` when there is none, or it is no `http` URL; the message does not repeat it. */
  url(source: UrlSource): Promise<URL>;
  redact(text: string): string;
};

const longest = 64 * 1024;
const shortestPart = 8;

export function createSecrets(environment: NodeJS.ProcessEnv): Secrets {
  const found = new Set<string>();
  const read = async (source: SecretSource): Promise<string> => {
    const value = (source.kind === 'environment' ? environment[source.variable] : await fromFile(source.path))?.trim();
    if (value === undefined || value === '') {
      const where = source.kind === 'environment' ? `the environment variable ${source.variable}` : source.path;
      throw new HoldfastError('notification-failed', `${where} is empty or not there`);
    }
    found.add(value);
    return value;
  };
  return {
    read,
    async url(source) {
      const text = source.kind === 'plain' ? source.url : await read(source);
      const url = URL.parse(text);
      if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
        throw new HoldfastError(
          'notification-failed',
          'what stands for the URL is none that begins with https:// or http://, without user and password',
        );
      if (source.kind !== 'plain') for (const part of partsOf(url)) found.add(part);
      return url;
    },
    redact: (text) => [...found].sort((a, b) => b.length - a.length).reduce((rest, secret) => withoutSecret(rest, secret), text),
  };
}

/** What of a secret URL a server may repeat; short parts are words. */
const partsOf = ({ href, pathname, search, searchParams }: URL): string[] =>
  [href, pathname + search, ...pathname.split('/'), ...searchParams.values()].filter((part) => part.length >= shortestPart);

const withoutSecret = (text: string, secret: string): string =>
  [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')].reduce((rest, form) => rest.replaceAll(form, '***'), text);

async function fromFile(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    if (text.length <= longest) return text;
  } catch (cause) {
    throw new HoldfastError('notification-failed', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  throw new HoldfastError('notification-failed', `${path} is too long to be a secret`);
}
