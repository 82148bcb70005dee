/** Writes the tables of errors and of findings into docs/operations.md, from the catalogues in the source. test/docs/errors.test.ts compares. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { damageKinds } from '../src/engine/maintenance/damage.ts';
import { catalogue } from '../src/model/errors.ts';

export const operationsPage = join(import.meta.dirname, '..', 'docs', 'operations.md');

/** A vertical bar would end the cell. */
const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return [titles, titles.map(() => '---'), ...rows].map(row).join('\n');
}

const errorTable = (): string =>
  table(
    ['code', 'meaning', 'what to do', 'exit code', 'retryable'],
    Object.entries(catalogue).map(([code, { meaning, remedy, exit, retryable }]) => [
      `\`${code}\``,
      meaning,
      remedy,
      String(exit),
      retryable ? 'yes' : '',
    ]),
  );

const findingTable = (): string =>
  table(
    ['finding', 'meaning'],
    Object.entries(damageKinds).map(([kind, meaning]) => [`\`${kind}\``, meaning]),
  );

/** Puts a table between its two comments. */
function withTable(page: string, name: string, text: string): string {
  const pattern = new RegExp(`(<!-- ${name}: [^\\n]* -->\\n)[^]*?(<!-- /${name} -->)`);
  if (!pattern.test(page)) throw new Error(`the page has no place for the table of ${name}`);
  return page.replace(pattern, (_, start: string, end: string) => `${start}\n${text}\n\n${end}`);
}

/** The page with its tables as the source has them. */
export const withTables = (page: string): string => withTable(withTable(page, 'errors', errorTable()), 'findings', findingTable());

if (import.meta.main) writeFileSync(operationsPage, withTables(readFileSync(operationsPage, 'utf8')));
