import type { RawString } from '../model/raw-bytes.ts';

/** UTF-8 as Go's package unicode/utf8 sees it: a byte that does not belong to a valid sequence stands for itself, one by one. */

/** Stands in text for a byte that is not UTF-8. A lone surrogate, which no UTF-8 can produce; Go's JSON writes `\ufffd` for it. */
const invalidByte = '\udfff';

/** What {@link runeAt} returns for a byte that is not part of valid UTF-8. */
export const invalidRune = -1;

const continuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

/** The code point whose UTF-8 begins at `index`, or {@link invalidRune}. Beyond the end is NaN, which no test accepts. */
export function runeAt(raw: RawString, index: number): number {
  const first = raw.charCodeAt(index);
  if (first < 0x80) return first;
  if (first < 0xc2 || first > 0xf4) return invalidRune;
  const second = raw.charCodeAt(index + 1);
  if (!continuation(second)) return invalidRune;
  if (first < 0xe0) return ((first & 0x1f) << 6) | (second & 0x3f);
  const third = raw.charCodeAt(index + 2);
  if (!continuation(third)) return invalidRune;
  if (first < 0xf0) {
    const code = ((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f);
    return code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? invalidRune : code;
  }
  const fourth = raw.charCodeAt(index + 3);
  if (!continuation(fourth)) return invalidRune;
  const code = ((first & 0x07) << 18) | ((second & 0x3f) << 12) | ((third & 0x3f) << 6) | (fourth & 0x3f);
  return code < 0x10000 || code > 0x10ffff ? invalidRune : code;
}

/** How many bytes a rune that {@link runeAt} returned occupies. */
export function runeLength(rune: number): number {
  if (rune < 0x80) return 1;
  if (rune < 0x800) return 2;
  return rune < 0x10000 ? 3 : 4;
}

/**
 * Bytes as text, with {@link invalidByte} for each byte that is not UTF-8: for attribute, user and group names, so
 * that they are written as restic writes them.
 */
export function textFromBytes(bytes: Buffer): string {
  const raw = bytes.toString('latin1') as RawString;
  let text = '';
  for (let index = 0; index < raw.length; ) {
    const rune = runeAt(raw, index);
    text += rune === invalidRune ? invalidByte : String.fromCodePoint(rune);
    index += runeLength(rune);
  }
  return text;
}
