import type { Configuration } from './configuration.ts';
import { judge } from './judge.ts';
import { mistakesError } from './mistakes.ts';
import { resolveConfiguration } from './resolve.ts';
import type { ConfigurationFile } from './schema.ts';
import { parseSource } from './yaml-document.ts';

/**
 * The configuration that a text is, as if it stood in the file, which need not exist; its folder is where relative paths start.
 * @throws `configuration`.
 */
export function parseConfiguration(text: string, file: string): Configuration {
  const document = parseSource(text);
  const readable = document.value !== undefined || document.mistakes.length === 0;
  const mistakes = readable ? [...document.mistakes, ...judge(document, file)] : document.mistakes;
  if (mistakes.length > 0) throw mistakesError(file, mistakes, document.position);
  return resolveConfiguration(document.value as ConfigurationFile, file);
}
