import type { RawString } from '../../model/raw-bytes.ts';
import type { CompiledPattern } from './compiled-pattern.ts';
import { parseGitignorePattern } from './gitignore-pattern.ts';
import { createGroupNames } from './glob.ts';
import { parseResticPattern, resticSubject } from './restic-pattern.ts';

/** Which entries of a volume a backup leaves out; plain data. */
export type ExcludeOptions = {
  /** As restic's `--exclude`, see `parseResticPattern`. Default none. */
  patterns?: readonly string[];
  /** As restic's `--iexclude`: the same, whatever the case of letters. Default none. */
  insensitivePatterns?: readonly string[];
  /** As the lines of a .gitignore at the volume's root, see `parseGitignorePattern`; `exclude:` in holdfast.yaml. Default none. */
  ignorePatterns?: readonly string[];
};

export type Excludes = {
  /**
   * Whether the entry is left out. `relativePath` starts at the volume's root, without a leading slash (`src/main.ts`), and `name` is its
   * last segment. An excluded directory must not be entered: its content is not asked for, and nothing in it can be
   * included again.
   */
  excludes(relativePath: RawString, name: RawString, isDirectory: boolean): boolean;
};

type Test = (path: string, name: string, isDirectory: boolean) => boolean;

/**
 * An entry is excluded when one of the three lists says so; within a list the last pattern that matches decides. Throws `usage` for a
 * wrong pattern of the first two, `configuration` for one of the third.
 */
export function compileExcludes({ patterns = [], insensitivePatterns = [], ignorePatterns = [] }: ExcludeOptions): Excludes {
  const tests = [resticTest(patterns, false), resticTest(insensitivePatterns, true), gitignoreTest(ignorePatterns)];
  const [first, ...more] = tests.filter((test) => test !== undefined);
  if (first === undefined) return { excludes: () => false };
  if (more.length === 0) return { excludes: first };
  return {
    excludes: (path, name, isDirectory) => first(path, name, isDirectory) || more.some((test) => test(path, name, isDirectory)),
  };
}

function gitignoreTest(lines: readonly string[]): Test | undefined {
  const names = createGroupNames();
  return compileRules(lines.map((line) => parseGitignorePattern(line, names)).filter((rule) => rule !== undefined));
}

function resticTest(patterns: readonly string[], ignoreCase: boolean): Test | undefined {
  const names = createGroupNames();
  const options = { ignoreCase, listHasNegation: patterns.some((pattern) => pattern.startsWith('!')) };
  const rules = patterns.map((pattern) => parseResticPattern(pattern, options, names)).filter((rule) => rule !== undefined);
  const test = compileRules(rules);
  if (test === undefined) return undefined;
  if (rules.every(({ subject }) => subject === 'name'))
    return (_path, name) => test('', resticSubject(name as RawString, ignoreCase), false);
  return (path, name) => test(resticSubject(path as RawString, ignoreCase), resticSubject(name as RawString, ignoreCase), false);
}

/** The last rule that matches decides, so rules of the same sign in a row can be tested together, the last row first. */
function compileRules(rules: readonly CompiledPattern[]): Test | undefined {
  const rows: { negated: boolean; rules: CompiledPattern[] }[] = [];
  for (const rule of rules) {
    const row = rows.at(-1);
    if (row !== undefined && row.negated === rule.negated) row.rules.push(rule);
    // At the start there is nothing that could be included again.
    else if (row !== undefined || !rule.negated) rows.push({ negated: rule.negated, rules: [rule] });
  }
  const tests = rows.map(({ negated, rules: row }) => ({ negated, test: anyOf(row) })).reverse();
  const [only] = tests;
  if (only === undefined) return undefined;
  if (tests.length === 1) return only.test;
  return (path, name, isDirectory) => {
    for (const { negated, test } of tests) if (test(path, name, isDirectory)) return !negated;
    return false;
  };
}

/** Whether any of the rules matches, whatever their sign. */
function anyOf(rules: readonly CompiledPattern[]): Test {
  const bySubject = (subject: CompiledPattern['subject'], directoriesOnly: boolean) =>
    subjectTest(rules.filter((rule) => rule.subject === subject && rule.directoriesOnly === directoriesOnly));
  const [name, path] = [bySubject('name', false), bySubject('path', false)];
  const [directoryName, directoryPath] = [bySubject('name', true), bySubject('path', true)];
  return (entryPath, entryName, isDirectory) =>
    name?.(entryName) || path?.(entryPath) || (isDirectory && (directoryName?.(entryName) || directoryPath?.(entryPath))) || false;
}

/** Literal subjects are looked up, the other patterns are one expression. */
function subjectTest(rules: readonly CompiledPattern[]): ((subject: string) => boolean) | undefined {
  if (rules.length === 0) return undefined;
  const literals = new Set(rules.map(({ literal }) => literal).filter((literal) => literal !== undefined));
  const sources = rules.filter(({ literal }) => literal === undefined).map(({ source }) => `(?:${source})`);
  if (sources.length === 0) return (subject) => literals.has(subject);
  const expression = new RegExp(sources.join('|'), 'u');
  return (subject) => literals.has(subject) || expression.test(subject);
}

const cacheDirTagSignature = Buffer.from('Signature: 8a477f597d28d172789f06886806bc55');

/** Whether a file named CACHEDIR.TAG that begins with these bytes (43 suffice) marks a cache directory (https://bford.info/cachedir/). */
export const isCacheDirTag = (firstBytes: Buffer): boolean =>
  firstBytes.subarray(0, cacheDirTagSignature.length).equals(cacheDirTagSignature);
