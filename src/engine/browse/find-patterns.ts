/** Patterns of `find`: which paths they match, and which directories need not be looked into. */
import { posix } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { RawString } from '../../model/raw-bytes.ts';
import { createGroupNames } from '../source/glob.ts';
import { parseResticPattern, resticSubject } from '../source/restic-pattern.ts';

/** What is searched for, by paths. */
export type PathMatcher = {
  /** Whether the entry itself matches; what lies below a directory that matches does too, and is not asked for. */
  matches(path: RawString, name: RawString): boolean;
  /** Whether something in this directory, or deeper, could match. */
  canMatchBelow(path: RawString): boolean;
  /** False when names alone decide: then equal directories hold the same matches wherever they are. */
  readonly pathMatters: boolean;
};

/**
 * As restic's `find`: `*.log` matches names anywhere, `etc/*.conf` consecutive parts of a path, `/etc/*.conf` from the volume's root; `**`
 * is any number of directories. What is below a directory that matches does so too.
 * @throws `usage` for a pattern that is wrong.
 */
export function compileFindPatterns(patterns: readonly string[], ignoreCase: boolean): PathMatcher {
  const compiled = patterns.map((pattern) => compile(pattern, ignoreCase));
  const subject = (value: RawString) => resticSubject(value, ignoreCase);
  return {
    pathMatters: compiled.some(({ byName }) => !byName),
    matches(path, name) {
      const [whole, last] = [subject(path), subject(name)];
      return compiled.some(({ byName, expression }) => expression.test(byName ? last : whole));
    },
    canMatchBelow(path) {
      const whole = subject(path);
      const depth = whole.split('/').length;
      return compiled.some(({ anchor }) => anchor === undefined || (anchor.parts[depth - 1]?.test(whole) ?? anchor.open));
    },
  };
}

type Compiled = {
  byName: boolean;
  expression: RegExp;
  /** Undefined when it can match anywhere. */
  anchor: Anchor | undefined;
};

/** Of a pattern from the root: what its first one, two, ... parts match, but for the last; `open` when `**` follows them. */
type Anchor = { parts: RegExp[]; open: boolean };

function compile(pattern: string, ignoreCase: boolean): Compiled {
  const { subject, expression } = parse(pattern, ignoreCase);
  const anchored = pattern.startsWith('/');
  return {
    byName: subject === 'name',
    expression,
    anchor: anchored ? anchorOf(posix.normalize(pattern).split('/').slice(1), ignoreCase) : undefined,
  };
}

function anchorOf(parts: readonly string[], ignoreCase: boolean): Anchor {
  const stars = parts.indexOf('**');
  const fixed = parts.slice(0, stars < 0 ? parts.length - 1 : stars);
  return { parts: fixed.map((_, i) => parse(`/${fixed.slice(0, i + 1).join('/')}`, ignoreCase).expression), open: stars >= 0 };
}

function parse(pattern: string, ignoreCase: boolean): { subject: 'name' | 'path'; expression: RegExp } {
  try {
    const rule = parseResticPattern(pattern, { ignoreCase, listHasNegation: false }, createGroupNames());
    if (rule === undefined) throw new HoldfastError('usage', 'an empty pattern matches nothing', { remedy: 'name what is searched for' });
    return { subject: rule.subject, expression: new RegExp(rule.source, 'u') };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw new HoldfastError(error.code, error.message.replace('the exclude pattern', 'the pattern'), { remedy: error.remedy });
  }
}
