import { stripVTControlCharacters, styleText } from 'node:util';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';

/** Text for terminals: colours, widths, tables. */

const formats = { strong: 'bold', dim: 'dim', good: 'green', warning: 'yellow', bad: 'red' } as const;

/** Marks text by its meaning; plain functions that change nothing where there are no colours. */
export type Style = Record<keyof typeof formats, (text: string) => string>;

export function createStyle(colors: boolean): Style {
  const paint = (format: (typeof formats)[keyof typeof formats]) => (text: string) =>
    colors ? styleText(format, text, { validateStream: false }) : text;
  return {
    strong: paint(formats.strong),
    dim: paint(formats.dim),
    good: paint(formats.good),
    warning: paint(formats.warning),
    bad: paint(formats.bad),
  };
}

/** Any text on one line, with control characters escaped: what comes from outside can't move the cursor. For raw strings use displayRaw. */
export const displayText = (text: string): string => displayRaw(rawFromText(text));

const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const doubleWidth =
  /^(?![\uff61-\uffdc])[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

/** Columns that the text takes on a terminal: none for combining marks and colour codes, two for East Asian wide characters and emoji. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of stripVTControlCharacters(text)) width += zeroWidth.test(character) ? 0 : doubleWidth.test(character) ? 2 : 1;
  return width;
}

export type Column = { title: string; align?: 'left' | 'right' };

/** The lines of a table, with columns as wide as their widest cell, two spaces between them and no spaces at the end of a line. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string[] {
  const widths = columns.map(({ title }) => displayWidth(title));
  for (const row of rows) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, displayWidth(cell));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const padding = ' '.repeat((widths[index] ?? 0) - displayWidth(cell));
        return columns[index]?.align === 'right' ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd();
  return [style.strong(line(columns.map(({ title }) => title))), ...rows.map(line)];
}
