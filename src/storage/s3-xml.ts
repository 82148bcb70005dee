/** The little XML that S3 speaks: elements without attributes that matter, text with entities. */

/** Inner texts of all elements of a name, wherever they are; elements that hold others of their own name are not S3's. */
export const elementsOf = (xml: string, name: string): string[] =>
  Array.from(xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([^]*?)</${name}>`, 'g')), ([, inner = '']) => inner);

/** The text of the first element of a name, or undefined. */
export function textOf(xml: string, name: string): string | undefined {
  const [, inner] = new RegExp(`<${name}(?:\\s[^>]*)?>([^<]*)</${name}>`).exec(xml) ?? [];
  return inner === undefined ? undefined : unescaped(inner);
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const highestCodePoint = 0x10ffff;

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w+));/gi, (whole, decimal?: string, hex?: string, name = '') => {
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    if (code <= highestCodePoint) return String.fromCodePoint(code);
    return entities[name] ?? whole;
  });
}

/** Text for an element. */
export const escapedText = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
