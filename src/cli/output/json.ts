// TypeScript's library doesn't declare it yet (https://tc39.es/proposal-json-parse-with-source).
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** One value as one line. 64-bit numbers are written without loss; U+2028 and U+2029, at which some readers break lines, are escaped. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? rawJSON(String(part)) : part));
  return `${text.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}\n`;
}
