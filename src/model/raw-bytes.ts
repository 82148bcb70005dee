/**
 * File names, symlink targets and paths are bytes, not text. Inside Holdfast they are *raw strings*: one
 * character (U+0000 to U+00FF) a byte. So they compare and sort as their bytes do, serve as keys of maps, and cost
 * one byte a character; nothing is lost whatever their encoding.
 */

declare const raw: unique symbol;
export type RawString = string & { readonly [raw]: true };

export const rawFromBytes = (bytes: Buffer): RawString => bytes.toString('latin1') as RawString;
export const rawFromText = (text: string): RawString => rawFromBytes(Buffer.from(text, 'utf8'));
export const bytesFromRaw = (value: RawString): Buffer => Buffer.from(value, 'latin1');

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a raw string, or undefined when its bytes are not UTF-8. */
export function textFromRaw(value: RawString): string | undefined {
  try {
    return utf8.decode(bytesFromRaw(value));
  } catch {
    return undefined;
  }
}

/**
 * For people: text with control characters and bytes that are not UTF-8 as `\n`, `\t` or `\xff`, so that a
 * hostile name can neither break a line nor move a terminal's cursor.
 */
export function displayRaw(value: RawString): string {
  const bytes = bytesFromRaw(value);
  const text = textFromRaw(value);
  const escape = (code: number) => `\\x${code.toString(16).padStart(2, '0')}`;
  if (text === undefined) {
    let out = '';
    for (const byte of bytes) out += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : escape(byte);
    return out;
  }
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => {
    if (c === '\n') return '\\n';
    if (c === '\t') return '\\t';
    const code = c.codePointAt(0) as number;
    return code < 0x100 ? escape(code) : `\\u{${code.toString(16)}}`;
  });
}
