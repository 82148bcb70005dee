import { HoldfastError } from '../../model/errors.ts';
import { rawFromText } from '../../model/raw-bytes.ts';
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
 * Patterns as in a .gitignore file at the volume's root (https://git-scm.com/docs/gitignore): `*`, `?` and `[...]` match within a name and byte by
 * byte; a pattern without a slash (but at its end) matches a name at any depth, any other is anchored to the root; `**` as a
 * whole segment matches any number of directories; a slash at the end means directories only; `!` includes again; `\`
 * escapes; blank patterns and those that begin with `#` mean nothing.
 *
 * Two things differ from git: a pattern that git silently never matches (`[` without `]`) is an error, and two stars next
 * to other characters (`foo**`) are one star always, as git documents but doesn't quite do.
 *
 * Returns undefined for a blank or a comment. Throws `configuration`.
 */
export function parseGitignorePattern(line: string, names: GroupNames): CompiledPattern | undefined {
  let pattern: string = trimTrailingSpaces(rawFromText(line));
  if (pattern === '' || pattern.startsWith('#')) return undefined;
  const negated = pattern.startsWith('!');
  if (negated) pattern = pattern.slice(1);
  const directoriesOnly = pattern.endsWith('/');
  if (directoriesOnly) pattern = pattern.slice(0, -1);
  const subject = pattern.includes('/') ? 'path' : 'name';
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  if (pattern === '') throw invalid(line, 'it names nothing');

  const literal = /[*?[\\]/.test(pattern) ? undefined : pattern;
  const segments = parseSegments(pattern, line);
  return { negated, directoriesOnly, subject, literal, source: `^${wholeSource(segments, names)}$` };
}

const invalid = (line: string, reason: string) =>
  new HoldfastError('configuration', `the exclude pattern \`${line}\` can never match: ${reason}`, { remedy: 'correct the pattern' });

/** Spaces at the end count only when they are escaped. */
function trimTrailingSpaces(line: string): string {
  let end = 0;
  for (let index = 0; index < line.length; index += 1) {
    if (line[index] === '\\') index += 1;
    else if (line[index] === ' ') continue;
    end = index + 1;
  }
  return line.slice(0, end);
}

function wholeSource(segments: readonly Segment[], names: GroupNames): string {
  const [only] = segments;
  if (segments.length === 1 && only !== undefined && only !== anyDirectories) return segmentSource(only, names);
  if (segments.at(-1) !== anyDirectories) return pathSource(segments, names);
  // At the end `**` is all that lies below, not the directory itself.
  const last = segments.findLastIndex((segment) => segment !== anyDirectories);
  return last < 0 ? '[^]+' : `${pathSource(segments.slice(0, last + 1), names)}/[^]+`;
}

function parseSegments(pattern: string, line: string): Segment[] {
  const segments: Segment[] = [];
  let tokens: string[] = [];
  const finish = () => {
    segments.push(tokens);
    tokens = [];
  };
  for (let index = 0; index < pattern.length; index += 1) {
    const character = pattern[index] as string;
    if (character === '/') finish();
    else if (character === '?') tokens.push(anyCharacter);
    else if (character === '*') {
      const end = endOfStars(pattern, index);
      const whole = tokens.length === 0 && end - index > 1 && (end === pattern.length || pattern[end] === '/');
      index = whole ? end : end - 1;
      if (!whole) tokens.push(star);
      else segments.push(anyDirectories);
      if (whole && end === pattern.length) return segments;
    } else if (character === '[') {
      const { source, end } = parseClass(pattern, index, line);
      tokens.push(source);
      index = end;
    } else if (character === '\\') {
      index += 1;
      const escaped = pattern[index];
      if (escaped === undefined) throw invalid(line, 'nothing follows the last backslash');
      if (escaped === '/') finish();
      else tokens.push(characterSource(escaped));
    } else tokens.push(characterSource(character));
  }
  finish();
  return segments;
}

function endOfStars(pattern: string, start: number): number {
  let end = start;
  while (pattern[end] === '*') end += 1;
  return end;
}

/** Of ASCII, as POSIX defines them for the C locale. */
const classes: Record<string, RegExp> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  cntrl: /[^ -~]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** The class that begins with `[` at `start`: its bytes as a RegExp class, and the position of its `]`. */
function parseClass(pattern: string, start: number, line: string): { source: string; end: number } {
  const bytes = new Set<number>();
  const negated = pattern[start + 1] === '!' || pattern[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  let index = first;
  /** The last single character, from which a range may go on. */
  let low: number | undefined;
  const next = () => {
    if (index >= pattern.length) throw invalid(line, '`[` has no `]`');
    return pattern[index++] as string;
  };
  const nextByte = (character = next()) => (character === '\\' ? next() : character).charCodeAt(0);
  for (let character = next(); character !== ']' || index - 1 === first; character = next()) {
    const name = character === '[' ? /^:([^\]]*):\]/.exec(pattern.slice(index))?.[1] : undefined;
    if (name !== undefined) {
      const members = classes[name];
      if (members === undefined) throw invalid(line, `\`[:${name}:]\` is no class`);
      for (let code = 0; code < 128; code += 1) if (members.test(String.fromCharCode(code))) bytes.add(code);
      index += name.length + 3;
      low = undefined;
    } else if (character === '-' && low !== undefined && index < pattern.length && pattern[index] !== ']') {
      const high = nextByte();
      for (let code = low; code <= high; code += 1) bytes.add(code);
      low = undefined;
    } else {
      low = nextByte(character);
      bytes.add(low);
    }
  }
  return { source: classSource(bytes, negated), end: index - 1 };
}

function classSource(bytes: ReadonlySet<number>, negated: boolean): string {
  let source = '';
  for (let code = 0; code < 256; code += 1) if (bytes.has(code) !== negated && code !== 0x2f) source += codeSource(code);
  return `[${source}]`;
}
