import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../../test/properties.ts';
import { type RawString, rawFromText } from '../../model/raw-bytes.ts';
import { compileFindPatterns } from './find-patterns.ts';

const raw = rawFromText;
const nameOf = (path: string) => raw(path.split('/').at(-1) as string);

test('what patterns match', () => {
  const cases: [pattern: string, path: string, matches: boolean, ignoreCase?: boolean][] = [
    ['*.log', 'a/b.log', true],
    ['*.log', 'a.log/b', false],
    ['b/*.log', 'a/b/c.log', true],
    ['/b/*.log', 'a/b/c.log', false],
    ['/a/b', 'a/b/c', true],
    ['/a/**/d', 'a/b/c/d', true],
    ['/a/**/d', 'a/d', true],
    ['??', 'é!', true],
    ['[^a-c]', 'b', false],
    ['KÄSE', 'käse', false],
    ['KÄSE', 'käse', true, true],
    ['\\*', '*', true],
    ['\\*', 'x', false],
  ];
  for (const [pattern, path, expected, ignoreCase = false] of cases) {
    assert.equal(compileFindPatterns([pattern], ignoreCase).matches(raw(path), nameOf(path)), expected, `${pattern} ${path}`);
  }
  assert.ok(compileFindPatterns(['*'], false).matches('\xff' as RawString, '\xff' as RawString));
  assert.equal(compileFindPatterns(['*.a', 'b'], false).pathMatters, false);
  assert.equal(compileFindPatterns(['*.a', '/b'], false).pathMatters, true);
  for (const pattern of ['', '/', '[', 'a\\']) assert.throws(() => compileFindPatterns([pattern], false), { code: 'usage' });
});

test('nothing that matches is in a directory that is passed over', () => {
  const part = fc.constantFrom('a', 'b', 'ab', '*', '?', '**', 'a*', '[ab]');
  const pattern = fc
    .tuple(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([anchored, parts]) => `${anchored ? '/' : ''}${parts.join('/')}`);
  const path = fc.array(fc.constantFrom('a', 'b', 'ab', 'ba', 'c'), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 2 }), path, (patterns, parts) => {
      const matcher = compileFindPatterns(patterns, false);
      if (!matcher.matches(raw(parts.join('/')), raw(parts.at(-1) as string))) return;
      for (let depth = 1; depth < parts.length; depth++) {
        const above = parts.slice(0, depth);
        const found = matcher.matches(raw(above.join('/')), raw(above.at(-1) as string));
        assert.ok(found || matcher.canMatchBelow(raw(above.join('/'))), `${patterns} ${parts.join('/')} at ${depth}`);
        if (found) return;
      }
    }),
    { seed: 5, numRuns: runs(3000) },
  );
});
