import type { RawString } from '../model/raw-bytes.ts';
import { rawFromText } from '../model/raw-bytes.ts';
import { invalidRune, runeAt, runeLength } from './utf8.ts';

/**
 * JSON strings as Go's encoding/json writes them (Go 1.22 and later; source: src/encoding/json/encode.go, appendString,
 * with HTML escaping). Everything here returns the UTF-8 bytes of the JSON as a raw string, so that documents are
 * put together as one string and become bytes in one step.
 */

/** ASCII that stands for itself both in Go's quoting and in its JSON. */
export const plainText = /^[ !#-%'-;=?-[\]-~]*$/;

const hex4 = (code: number): string => code.toString(16).padStart(4, '0');

const shortEscapes = new Map([
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
]);

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code >= 0xd800 && code <= 0xdfff) return '\\ufffd';
  return shortEscapes.get(code) ?? `\\u${hex4(code)}`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes them
const special = /["\\<>&\u0000-\u001f\u2028\u2029]|\p{Surrogate}/gu;

/** A JSON string of text, with its quotes. Lone surrogates (see `invalidByte`) become `\ufffd`. */
export function jsonFromText(text: string): string {
  return plainText.test(text) ? `"${text}"` : `"${rawFromText(text.replace(special, escapeCharacter))}"`;
}

/** A JSON string of bytes, with its quotes: each byte that is not UTF-8 becomes `\ufffd`. */
export function jsonFromRaw(raw: RawString): { json: string; valid: boolean } {
  if (plainText.test(raw)) return { json: `"${raw}"`, valid: true };
  let json = '"';
  let valid = true;
  for (let index = 0; index < raw.length; ) {
    const rune = runeAt(raw, index);
    const end = index + runeLength(rune);
    if (rune === invalidRune) {
      json += '\\ufffd';
      valid = false;
    } else {
      const escaped = rune < 0x20 || rune === 0x22 || rune === 0x5c || isHtml(rune);
      json += escaped ? escapeCharacter(String.fromCharCode(rune)) : raw.slice(index, end);
    }
    index = end;
  }
  return { json: `${json}"`, valid };
}

const isHtml = (rune: number): boolean => rune === 0x3c || rune === 0x3e || rune === 0x26 || rune === 0x2028 || rune === 0x2029;

/** Not in TypeScript's library yet: a number in the digits that it is given. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** JSON of any value that {@link parseJson} returned, without white space; an integer beyond 2^53 is a bigint. */
export function jsonFromValue(value: unknown): string {
  const json = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? rawJSON(String(part)) : part));
  return rawFromText(json.replace(/[<>&\u2028\u2029]/g, escapeCharacter));
}

/** The members of an object as they follow others in a document: each with a comma before it. */
export function jsonFromMembers(members: Record<string, unknown>): string {
  let json = '';
  for (const [key, value] of Object.entries(members)) json += `,${jsonFromText(key)}:${jsonFromValue(value)}`;
  return json;
}

export const jsonFromTexts = (texts: readonly string[]): string => `[${texts.map(jsonFromText).join(',')}]`;

/** A number of 16 digits or more, which may not be exact as a double. Hexadecimal ids don't match, because a quote precedes them. */
const longInteger = /[:,[\s-]\d{16}/;

/** `\ufffd` as an escape is how Go writes a byte that is not UTF-8; it is read as `invalidByte`, so that it is written so again. */
const escapedInvalidByte = /(?<!\\)((?:\\\\)*)\\ufffd/g;

function exactNumber(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  return context.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/**
 * Parses JSON; integers beyond 2^53 become bigints.
 * @throws SyntaxError when it is not JSON; RangeError when it is nested too deep.
 */
export function parseJson(bytes: Buffer): unknown {
  let text = bytes.toString('utf8');
  if (text.includes('\\ufffd')) text = text.replace(escapedInvalidByte, '$1\\udfff');
  return longInteger.test(text) ? JSON.parse(text, exactNumber as (key: string, value: unknown) => unknown) : JSON.parse(text);
}
