import { HoldfastError } from '../../model/errors.ts';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';
import { nearest } from './nearest.ts';

/** Something wrong in a configuration file, and where: `offset` counts characters from the start of the text. */
export type Mistake = { offset: number; text: string };

export type Mapping = Record<string, unknown>;

export const isMapping = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

/** An empty one where a value is none, which the schema tells of. */
export const mapping = (value: unknown): Mapping => (isMapping(value) ? (value as Mapping) : {});

/** One error `configuration` that lists all mistakes, in the order of the file, as `FILE:LINE:COLUMN: what`. */
export function mistakesError(
  file: string,
  mistakes: readonly Mistake[],
  position: (offset: number) => { line: number; column: number },
): HoldfastError {
  const lines = [...mistakes]
    .sort((a, b) => a.offset - b.offset)
    .map(({ offset, text }) => {
      const { line, column } = position(offset);
      return `${file}:${line}:${column}: ${text}`;
    });
  const message = lines.length === 1 ? (lines[0] as string) : `${lines.length} mistakes:\n${lines.join('\n')}`;
  const remedy = lines.length === 1 ? undefined : 'correct the lines named above';
  return new HoldfastError('configuration', message, { file, remedy });
}

/** `; did you mean X?`, or what there is to choose from when nothing is near. */
export function suggestion(text: string, candidates: readonly string[]): string {
  const near = nearest(text, candidates);
  if (near !== undefined) return `; did you mean \`${near}\`?`;
  return candidates.length === 0 ? '' : ` (known here: ${candidates.map((candidate) => `\`${candidate}\``).join(', ')})`;
}

const longestQuote = 60;

/** A text of the file for a message: escaped, and cut when long. */
export function quoted(text: string): string {
  const shown = text.length > longestQuote ? `${text.slice(0, longestQuote)}...` : text;
  return `\`${displayRaw(rawFromText(shown))}\``;
}
