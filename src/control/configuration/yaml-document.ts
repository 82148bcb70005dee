import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import type { Mistake } from './mistakes.ts';

/** A key of a mapping, or an index of a list. */
export type Path = readonly (string | number)[];

/** What a file holds, and where each of its values stands. */
export type LocatedValue = {
  /** The content as plain values; undefined when the syntax is too broken to say. */
  value: unknown;
  /** Where the value at the path begins, or the nearest thing above it that is there. */
  offsetOfValue(path: Path): number;
  /** Where the last key of the path begins, or the nearest thing above it that is there. */
  offsetOfKey(path: Path): number;
};

/** A parsed YAML file. */
export type SourceDocument = LocatedValue & {
  /** Mistakes of syntax. */
  mistakes: Mistake[];
  /** Line and column, both from 1. */
  position(offset: number): { line: number; column: number };
};

/**
 * Parses YAML 1.2; keys are text, whatever they look like. `mergeKeys` also reads `<<`, as Compose files have it.
 * Never throws, and no mistake quotes a value, which could be a secret.
 */
export function parseSource(text: string, options: { mergeKeys?: boolean } = {}): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // `silent` would also pass over a second document.
    logLevel: 'error',
    // A merge key is not a string to the parser, so one excludes the other.
    ...(options.mergeKeys === true ? { merge: true } : { stringKeys: true }),
  });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const { mistakes, broken } = syntaxMistakes(document, text, (offset) => position(offset).line);
  let value: unknown;
  if (!broken) {
    try {
      value = document.toJS();
    } catch {
      // What toJS alone refuses: aliases that multiply without end, and merge keys of what cannot be merged.
      mistakes.push({ offset: 0, text: 'its aliases cannot be unfolded, or would be far too much' });
    }
  }
  return {
    value,
    mistakes,
    position,
    offsetOfValue: (path) => locate(document, path).value,
    offsetOfKey: (path) => locate(document, path).key,
  };
}

function syntaxMistakes(
  document: Document.Parsed,
  text: string,
  lineOf: (offset: number) => number,
): { mistakes: Mistake[]; broken: boolean } {
  const mistakes: Mistake[] = [];
  let broken = false;
  const told = new Set<number>();
  for (const problem of [...document.errors, ...document.warnings]) {
    if (problem.name === 'YAMLParseError' && problem.code !== 'DUPLICATE_KEY') broken = true;
    const offset = problem.pos[0];
    // What follows the first error on a line is mostly its echo.
    if (problem.code !== 'DUPLICATE_KEY' && told.has(lineOf(offset))) continue;
    told.add(lineOf(offset));
    mistakes.push(aliasMistake(problem, text) ?? { offset, text: syntaxText(problem) });
  }
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      broken = true;
      const offset = alias.range?.[0] ?? 0;
      if (!told.has(lineOf(offset))) mistakes.push({ offset, text: starHint });
    },
  });
  return { mistakes, broken };
}

const starHint = 'a value that begins with `*` is an alias in YAML: put it in quotes';

const syntaxTexts: Partial<Record<YAMLError['code'], string>> = {
  ALIAS_PROPS: starHint,
  BAD_ALIAS: starHint,
  BAD_DQ_ESCAPE: 'an unknown escape in double quotes: write `\\\\` for a backslash, or use single quotes',
  BAD_INDENT: 'the indentation does not fit the lines above, or a bracket is not closed',
  BAD_SCALAR_START: 'a value cannot begin with this character: put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a second `key:` on one line: use a new line, or put the value in quotes',
  BLOCK_IN_FLOW: 'lines with indentation cannot stand inside brackets',
  DUPLICATE_KEY: 'this key is here twice: expected each key once',
  MULTILINE_IMPLICIT_KEY: 'expected `key: value` on one line',
  MULTIPLE_DOCS: 'a second document begins here: expected one document',
  NON_STRING_KEY: 'expected text as the key',
  TAB_AS_INDENT: 'a tab: expected spaces for indentation',
  TAG_RESOLVE_FAILED: 'a value that begins with `!` is a tag in YAML: put it in quotes',
  UNEXPECTED_TOKEN: 'this does not fit here: is a quote, a bracket or a comma missing or too many?',
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
};

/** In our own words: the parser's own would quote the file, secrets included. */
function syntaxText(problem: YAMLError): string {
  if (problem.code === 'MISSING_CHAR') {
    if (/closing .quote/.test(problem.message)) return 'a quote is not closed';
    if (/map values/.test(problem.message)) return 'expected `key: value`';
    return 'something is missing before this: a comma, a space, a colon or a dash?';
  }
  return syntaxTexts[problem.code] ?? 'not valid YAML';
}

// `cron: */5 * * * *` is an alias with something behind it, which is what the parser would complain of.
function aliasMistake(problem: YAMLError, text: string): Mistake | undefined {
  if (problem.code !== 'UNEXPECTED_TOKEN') return undefined;
  const lineStart = text.lastIndexOf('\n', problem.pos[0] - 1) + 1;
  const star = /[:\-,[{]\s*\*/.exec(text.slice(lineStart, problem.pos[0] + 1));
  return star === null ? undefined : { offset: lineStart + star.index + star[0].length - 1, text: starHint };
}

type Located = { key: number; value: number };

function locate(document: Document.Parsed, path: Path): Located {
  let node: Node | null = document.contents;
  const start = node?.range?.[0] ?? 0;
  let found: Located = { key: start, value: start };
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      // Of a key that is there twice the last one counts.
      const pair = node.items.findLast((item: Pair) => isScalar(item.key) && String(item.key.value) === String(step)) as
        | Pair<Node, Node>
        | undefined;
      if (pair === undefined) break;
      const key = pair.key.range?.[0] ?? found.key;
      node = pair.value;
      found = { key, value: node?.range?.[0] ?? key };
    } else if (isSeq(node)) {
      node = (node.items[Number(step)] as Node | undefined) ?? null;
      const at = node?.range?.[0];
      if (at === undefined) break;
      found = { key: at, value: at };
    } else break;
  }
  return found;
}
