import { posix } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import type { CompiledPattern } from './compiled-pattern.ts';
import {
  anyCharacter,
  anyDirectories,
  characterSource,
  codeSource,
  type GroupNames,
  pathSource,
  type Segment,
  segmentSource,
  star,
} from './glob.ts';

/**
 * Patterns as of restic's `--exclude` and `--iexclude` (https://restic.readthedocs.io, "Excluding files"; each segment as Go's filepath.Match): a pattern
 * that begins with a slash is anchored to the volume's root, any other matches consecutive segments anywhere in a path; either way
 * it matches what lies below as well. `*` and `?` match within a segment, `**` as a segment any number of them, `[a-z]`
 * and `[^a-z]` one character of a class; `\` escapes; `!` includes again. Characters are Unicode's: restic's `?` matches an
 * `é`. A byte that is not UTF-8 counts as one character that no pattern can name.
 *
 * It differs from restic (0.14 to 0.19) where that misses matches: an anchored pattern with two `**` is taken at its word.
 */
export type ResticPatternOptions = {
  ignoreCase: boolean;
  /**
   * Whether some pattern of the list includes again. If none does, nothing below an excluded directory is ever
   * asked for, and one name can be compared with the last segment alone.
   */
  listHasNegation: boolean;
};

/** Returns undefined for an empty pattern, which means nothing. Throws `usage`. */
export function parseResticPattern(text: string, options: ResticPatternOptions, names: GroupNames): CompiledPattern | undefined {
  if (text === '') return undefined;
  const negated = text.startsWith('!');
  const given = negated ? text.slice(1) : text;
  const cleaned = cleanPath(options.ignoreCase ? lowerCase(given) : given);
  if (cleaned === '/') throw invalid(text, 'it means the whole volume');
  const anchored = cleaned.startsWith('/');
  const parts = (anchored ? cleaned.slice(1) : cleaned).split('/');
  const [only = ''] = parts;

  const rule = { negated, directoriesOnly: false };
  if (!anchored && parts.length === 1 && only !== anyDirectories && !options.listHasNegation) {
    const literal = /[*?[\\]/.test(only) ? undefined : only;
    return { ...rule, subject: 'name', literal, source: `^${segmentSource(parseSegment(only, text), names)}$` };
  }
  const segments = withoutOuterStars(parts, anchored).map((part): Segment => (part === anyDirectories ? part : parseSegment(part, text)));
  return { ...rule, subject: 'path', literal: undefined, source: `${anchored ? '^' : '(?:^|/)'}${pathSource(segments, names)}(?:/|$)` };
}

const invalid = (text: string, reason: string) =>
  new HoldfastError('usage', `the exclude pattern \`${text}\` is wrong: ${reason}`, { remedy: 'correct the pattern' });

/** As Go's filepath.Clean: no `.`, no `..` but at the start of a relative path, no double slashes, none at the end. */
function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/**
 * At the end `**` says nothing new, as what lies below matches anyway, nor does it at the start of a pattern that isn't anchored.
 * Nothing but `**` is any name.
 */
function withoutOuterStars(parts: readonly string[], anchored: boolean): string[] {
  const end = parts.findLastIndex((part) => part !== anyDirectories) + 1;
  const start = anchored ? 0 : parts.findIndex((part) => part !== anyDirectories);
  return end === 0 ? [star] : parts.slice(start, end);
}

function parseSegment(part: string, text: string): string[] {
  const tokens: string[] = [];
  const characters = [...part];
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] as string;
    if (character === '*') tokens.push(star);
    else if (character === '?') tokens.push(anyCharacter);
    else if (character === '[') {
      const { source, end } = parseClass(characters, index, text);
      tokens.push(source);
      index = end;
    } else if (character === '\\') {
      index += 1;
      const escaped = characters[index];
      if (escaped === undefined) throw invalid(text, 'nothing follows the backslash');
      tokens.push(characterSource(escaped));
    } else tokens.push(characterSource(character));
  }
  return tokens;
}

/** The class that begins with `[` at `start`: a RegExp source, and the position of its `]`. */
function parseClass(characters: readonly string[], start: number, text: string): { source: string; end: number } {
  const negated = characters[start + 1] === '^';
  let index = start + (negated ? 2 : 1);
  let ranges = '';
  const next = (): number => {
    let character = characters[index];
    if (character === '-' || character === ']') throw invalid(text, `\`${character}\` in a class must be escaped`);
    if (character === '\\') character = characters[++index];
    index += 1;
    if (character === undefined || index >= characters.length) throw invalid(text, '`[` has no `]`');
    return character.codePointAt(0) as number;
  };
  do {
    const low = next();
    let high = low;
    if (characters[index] === '-') {
      index += 1;
      high = next();
    }
    if (low <= high) ranges += `${codeSource(low)}-${codeSource(high)}`;
  } while (characters[index] !== ']');
  return { source: `(?!/)[${negated ? '^' : ''}${ranges}]`, end: index };
}

/** Character by character, so that a character's neighbours don't matter (the final sigma). */
const lowerCase = (text: string): string => Array.from(text, (character) => character.toLowerCase()).join('');

const beyondAscii = /[\x80-\xff]/;
/** The UTF-8 encodings of single characters (RFC 3629), and at last any byte that is none. */
const encodedCharacter =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|[\x80-\xff]/g;

/** What restic's patterns are compared with: text, in which bytes that are not UTF-8 are lone surrogates, so that they stay distinct. */
export function resticSubject(value: RawString, ignoreCase: boolean): string {
  if (!beyondAscii.test(value)) return ignoreCase ? value.toLowerCase() : value;
  const text = value.replace(encodedCharacter, (bytes) =>
    bytes.length === 1 ? String.fromCharCode(0xdc00 + bytes.charCodeAt(0)) : Buffer.from(bytes, 'latin1').toString('utf8'),
  );
  return ignoreCase ? lowerCase(text) : text;
}
