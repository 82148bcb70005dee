import type { RawString } from '../model/raw-bytes.ts';
import { rawFromText } from '../model/raw-bytes.ts';
import { plainText } from './go-json.ts';
import { invalidRune, runeAt, runeLength } from './utf8.ts';

/** Names as trees hold them: Go's `strconv.Quote` of the raw bytes, without the outer quotes. Source: Go, src/strconv/quote.go. */

/** Code points and ranges that Unicode 15.1, 16.0 and 17.0 assigned. */
const assignedLater = `
  88f 897 c5c cdc 1acf-1add 1ae0-1aeb 1b4e-1b4f 1b7f 1c89-1c8a 20c1 2427-2429 2b96 2ffc-2fff 31e4-31e5 31ef a7cb-a7cf a7d2
  a7d4 a7da-a7dc a7f1 fbc3-fbd2 fd90-fd91 fdc8-fdce 105c0-105f3 10940-10959 10d40-10d65 10d69-10d85 10d8e-10d8f
  10ec2-10ec7 10ed0-10ed8 10efa-10efc 11380-11389 1138b 1138e 11390-113b5 113b7-113c0 113c2 113c5 113c7-113ca 113cc-113d5
  113d7-113d8 113e1-113e2 116d0-116e3 11b60-11b67 11bc0-11be1 11bf0-11bf9 11db0-11ddb 11de0-11de9 11f5a 13460-143fa
  16100-16139 16d40-16d79 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff 18cff 18d09-18d1e 18d80-18df2 1cc00-1ccfc
  1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 1e5d0-1e5fa 1e5ff 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f6d8 1f777-1f77a 1f8b2-1f8bb
  1f8c0-1f8c1 1f8d0-1f8d8 1fa54-1fa57 1fa89-1fa8a 1fa8e-1fa8f 1fabe 1fac6 1fac8 1facd 1fadc 1fadf 1fae9-1faea 1faef
  1fbcb-1fbef 1fbfa 2b73a-2b73f 2cea2-2cead 2ebf0-2ee5d 323b0-33479`;

const characterClass = assignedLater
  .trim()
  .split(/\s+/)
  .map((range) => range.replace(/[^-]+/g, (code) => `\\u{${code}}`))
  .join('');

/**
 * What Go calls printable, besides ASCII: letters, marks, numbers, punctuation and symbols. Go 1.21 to 1.26, which
 * build today's restic, know Unicode 15.0; Node knows a newer one, so what was assigned later is excepted.
 */
const printable = new RegExp(`^(?![${characterClass}])[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]$`, 'u');

/** Whether Go's `strconv.IsPrint` accepts a code point. */
export function isPrintable(rune: number): boolean {
  if (rune < 0x7f) return rune >= 0x20;
  return printable.test(String.fromCodePoint(rune));
}

const shortEscapes = new Map([
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
  [0x0b, '\\v'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
]);

function escapeRune(rune: number): string {
  const short = shortEscapes.get(rune);
  if (short !== undefined) return short;
  const digits = rune.toString(16);
  if (rune < 0x80) return `\\x${digits.padStart(2, '0')}`;
  return rune < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}

/** Go's `strconv.Quote` without the outer quotes; the result is UTF-8, as a raw string. */
export function quoteName(name: RawString): string {
  if (plainText.test(name)) return name;
  let quoted = '';
  for (let index = 0; index < name.length; ) {
    const rune = runeAt(name, index);
    const end = index + runeLength(rune);
    if (rune === invalidRune) quoted += `\\x${name.charCodeAt(index).toString(16)}`;
    else if (rune !== 0x22 && rune !== 0x5c && isPrintable(rune)) quoted += name.slice(index, end);
    else quoted += escapeRune(rune);
    index = end;
  }
  return quoted;
}

const unescapes = new Map([...shortEscapes].map(([code, escape]) => [escape[1], String.fromCharCode(code)]));

const escapeSequence = /\\(?:([abfnrtv"\\])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/y;

/** The bytes of one escape sequence, given the groups of {@link escapeSequence}. */
function unescape([, short, hex, shortCode, longCode, octal]: RegExpExecArray): string | undefined {
  if (short !== undefined) return unescapes.get(short);
  if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
  if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
  const rune = Number.parseInt((shortCode ?? longCode) as string, 16);
  if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return undefined;
  return rawFromText(String.fromCodePoint(rune));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what ASCII is
const ascii = /^[\x00-\x7f]*$/;

/** The bytes that a quoted name stands for, or undefined when Go's `strconv.Unquote` would refuse it. */
export function unquoteName(quoted: string): RawString | undefined {
  if (plainText.test(quoted)) return quoted as RawString;
  let name = '';
  for (let index = 0; index < quoted.length; ) {
    if (quoted[index] === '\\') {
      escapeSequence.lastIndex = index;
      const match = escapeSequence.exec(quoted);
      const bytes = match === null ? undefined : unescape(match);
      if (bytes === undefined) return undefined;
      name += bytes;
      index = escapeSequence.lastIndex;
      continue;
    }
    const found = quoted.indexOf('\\', index);
    const end = found < 0 ? quoted.length : found;
    const literal = quoted.slice(index, end);
    if (literal.includes('"') || literal.includes('\n')) return undefined;
    name += ascii.test(literal) ? literal : rawFromText(literal);
    index = end;
  }
  return name as RawString;
}
