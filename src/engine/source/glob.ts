/**
 * Globs as regular expressions. The dialects (`gitignore-pattern.ts`, `restic-pattern.ts`) cut a pattern into segments of tokens; this
 * file turns those into the source of a RegExp with the flag `u`, for paths without a leading slash.
 *
 * The expressions take time linear in the length of a segment and in the number of segments, whatever the pattern: before the
 * next star the shortest match is as good as any other, so it is held in a lookahead with a back reference,
 * which JavaScript's engine doesn't reconsider.
 */

/** `*` in a segment: any characters but a slash. All other tokens are RegExp sources that match exactly one character. */
export const star = '*';
/** `**` as a segment: any number of directories, also none. */
export const anyDirectories = '**';
export type Segment = string[] | typeof anyDirectories;

export const anyCharacter = '[^/]';

/** The RegExp source of one literal character. */
export const characterSource = (character: string): string =>
  /^[0-9A-Za-z_]$/.test(character) ? character : codeSource(character.codePointAt(0) as number);

/** The RegExp source of a character by its number, also within a class. */
export const codeSource = (code: number): string => `\\u{${code.toString(16)}}`;

/** Makes names of groups that are unique, because many patterns become one expression. */
export type GroupNames = () => string;

export function createGroupNames(): GroupNames {
  let count = 0;
  return () => `g${count++}`;
}

/** Matches the shortest text that the source matches, and sticks to it. */
function firstMatch(source: string, names: GroupNames): string {
  const name = names();
  return `(?=(?<${name}>${source}))\\k<${name}>`;
}

function splitAt<Item>(items: readonly Item[], separator: unknown): Item[][] {
  const parts: Item[][] = [[]];
  for (const item of items) {
    if (item === separator) parts.push([]);
    else parts.at(-1)?.push(item);
  }
  return parts;
}

/** A segment without `/`: the text before the first star, what lies between stars, and the text after the last. */
export function segmentSource(tokens: readonly string[], names: GroupNames): string {
  const parts = splitAt(tokens, star).map((part) => part.join(''));
  const [first = ''] = parts;
  if (parts.length === 1) return first;
  const between = parts.slice(1, -1).filter((part) => part !== '');
  return `${first}${between.map((part) => firstMatch(`[^/]*?${part}`, names)).join('')}[^/]*${parts.at(-1)}`;
}

/** Segments joined by slashes, from the first to the last, which must not be `**`; anchors are the caller's. */
export function pathSource(segments: readonly Segment[], names: GroupNames): string {
  const groups = splitAt(segments, anyDirectories) as string[][][];
  const sources = groups.map((group) => group.map((tokens) => segmentSource(tokens, names)).join('/'));
  const [first = ''] = sources;
  if (sources.length === 1) return first;
  const between = sources.slice(1, -1).filter((source) => source !== '');
  const middle = between.map((source) => firstMatch(`(?:[^/]+/)*?${source}/`, names)).join('');
  return `${first}${first === '' ? '' : '/'}${middle}(?:[^/]+/)*?${sources.at(-1)}`;
}
