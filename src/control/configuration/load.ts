import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { Configuration } from './configuration.ts';
import { originalOf } from './copy-in-effect.ts';
import { judge } from './judge.ts';
import { readPlainYaml } from './plain-yaml.ts';
import { resolveConfiguration } from './resolve.ts';
import type { ConfigurationFile } from './schema.ts';

/**
 * Reads and checks a `holdfast.yaml`, or the copy of one that is in effect. The schema that this brings along costs memory and time: import
 * this module only when there is a file to read. The parser comes only for files that are not plain, or have mistakes.
 * @throws `configuration-missing`; `configuration` with all mistakes, each as `FILE:LINE:COLUMN: what`, none with a secret.
 */
export async function loadConfiguration(path: string): Promise<Configuration> {
  return (await readConfiguration(path)).configuration;
}

/** With the text that it was made of. @throws as {@link loadConfiguration}. */
export async function readConfiguration(path: string): Promise<{ configuration: Configuration; text: string }> {
  const read = resolve(path);
  const text = await readText(read);
  const file = originalOf(text) ?? read;
  const configuration = await configurationOf(text, file);
  return { configuration: file === read ? configuration : { ...configuration, copy: read }, text };
}

async function configurationOf(text: string, file: string): Promise<Configuration> {
  const value = readPlainYaml(text);
  if (value !== undefined && judge({ value, ...nowhere }, file).length === 0) return resolveConfiguration(value as ConfigurationFile, file);
  const { parseConfiguration } = await import('./parse.ts');
  return parseConfiguration(text, file);
}

/** Where mistakes stand is for the parser to say, which finds the same ones. */
const nowhere = { offsetOfKey: () => 0, offsetOfValue: () => 0 };

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
