import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { Configuration } from './configuration.ts';
import { mistakesError } from './mistakes.ts';
import { referenceMistakes } from './reference-mistakes.ts';
import { resolveConfiguration } from './resolve.ts';
import type { ConfigurationFile } from './schema.ts';
import { schemaMistakes } from './schema-mistakes.ts';
import { parseSource } from './yaml-document.ts';

/**
 * Reads and checks a `holdfast.yaml`. The parser and the schema that this brings along cost about 25 MiB and 100 ms of CPU:
 * import this module only when there is a file to read.
 * @throws `configuration-missing`; `configuration` with all mistakes, each as `FILE:LINE:COLUMN: what`, none with a secret.
 */
export async function loadConfiguration(path: string): Promise<Configuration> {
  const file = resolve(path);
  return parseConfiguration(await readText(file), file);
}

/**
 * The configuration that a text is, as if it stood in the file, which need not exist; its folder is where relative paths start.
 * @throws `configuration`.
 */
export function parseConfiguration(text: string, file: string): Configuration {
  const document = parseSource(text);
  const readable = document.value !== undefined || document.mistakes.length === 0;
  const mistakes = readable ? [...document.mistakes, ...schemaMistakes(document), ...referenceMistakes(document, file)] : document.mistakes;
  if (mistakes.length > 0) throw mistakesError(file, mistakes, document.position);
  return resolveConfiguration(document.value as ConfigurationFile, file);
}

async function readText(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new HoldfastError('configuration-missing', `there is no ${file}`, { file, cause });
    const remedy = 'check that it is a file that you may read';
    throw new HoldfastError('configuration', `${file} cannot be read: ${(cause as Error).message}`, { file, cause, remedy });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HoldfastError('configuration', `${file} is not UTF-8 text`, { file, cause, remedy: 'save it as UTF-8' });
  }
}
