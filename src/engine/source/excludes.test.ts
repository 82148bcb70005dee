import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../model/errors.ts';
import { type RawString, rawFromBytes, rawFromText } from '../../model/raw-bytes.ts';
import { compileExcludes, type ExcludeOptions, isCacheDirTag } from './excludes.ts';

/** Whether a walk that starts at the root leaves the path out; a slash at its end says that it is a directory. */
function excluded(options: ExcludeOptions, path: string | Buffer): boolean {
  const raw: string = typeof path === 'string' ? rawFromText(path) : rawFromBytes(path);
  const isDirectory = raw.endsWith('/');
  const names = (isDirectory ? raw.slice(0, -1) : raw).split('/');
  const { excludes } = compileExcludes(options);
  return names.some((name, index) =>
    excludes(names.slice(0, index + 1).join('/') as RawString, name as RawString, isDirectory || index < names.length - 1),
  );
}

type Case = { patterns: string[]; excluded: string[]; kept: string[] };

function runCases(kind: keyof ExcludeOptions, cases: Case[]): void {
  for (const { patterns, excluded: out, kept } of cases) {
    for (const path of out) assert.equal(excluded({ [kind]: patterns }, path), true, `${patterns} excludes ${path}`);
    for (const path of kept) assert.equal(excluded({ [kind]: patterns }, path), false, `${patterns} keeps ${path}`);
  }
}

test('gitignore patterns mean what git documents', () => {
  runCases('ignorePatterns', [
    { patterns: ['node_modules'], excluded: ['node_modules', 'a/node_modules/b'], kept: ['node_modules2', 'xnode_modules'] },
    { patterns: ['*.log'], excluded: ['x.log', 'a/.log', 'a/b\nc.log'], kept: ['x.logs', 'log'] },
    { patterns: ['/build'], excluded: ['build', 'build/x'], kept: ['a/build'] },
    { patterns: ['docs/*.html'], excluded: ['docs/a.html'], kept: ['docs/x/a.html', 'a/docs/a.html'] },
    { patterns: ['cache/'], excluded: ['cache/', 'a/cache/x'], kept: ['cache', 'a/cache'] },
    { patterns: ['**/temp/x'], excluded: ['temp/x', 'a/b/temp/x'], kept: ['temp', 'atemp/x'] },
    { patterns: ['a/**'], excluded: ['a/b', 'a/b/c'], kept: ['a', 'b/a'] },
    { patterns: ['a/**/z'], excluded: ['a/z', 'a/b/z', 'a/b/c/z'], kept: ['z', 'a/b', 'b/a/z'] },
    { patterns: ['a/**/b/**/c'], excluded: ['a/b/c', 'a/x/b/y/y/c'], kept: ['a/c', 'a/b', 'a/x/c'] },
    { patterns: ['*', '!keep'], excluded: ['x', 'x/keep'], kept: ['keep'] },
    { patterns: ['!keep', '*'], excluded: ['keep'], kept: [] },
    { patterns: ['*.a', '!b.a', '/b.a'], excluded: ['a.a', 'b.a'], kept: ['c/b.a'] },
    { patterns: ['a?c', 'x[b-d!]z'], excluded: ['abc', 'xcz', 'x!z'], kept: ['ac', 'a/c', 'xaz'] },
    { patterns: ['[!a-c]x', '[]-]y', '[[:digit:]_]z'], excluded: ['dx', ']y', '-y', '7z', '_z'], kept: ['bx', 'ay', 'az'] },
    {
      patterns: ['\\!x', '\\#y', 'end\\ ', 'trimmed  ', 'st\\*r'],
      excluded: ['!x', '#y', 'end ', 'trimmed', 'st*r'],
      kept: ['x', 'y', 'end', 'star'],
    },
    { patterns: ['# comment', '', '   '], excluded: [], kept: ['# comment', 'comment', ' '] },
    { patterns: ['a/**', '!a/b/'], excluded: ['a/x', 'a/b/c'], kept: ['a', 'a/b/'] },
    { patterns: ['/a[!b]c', '/a[+-9]d'], excluded: ['axc', 'a.d'], kept: ['a/c', 'a/d'] },
    { patterns: ['[a\\-c]x', '[\\]]y'], excluded: ['ax', '-x', ']y'], kept: ['bx', '\\x', '\\y'] },
    { patterns: ['a*b*c*d'], excluded: ['abcd', 'axbxbxcxd'], kept: ['acbd', 'abc', 'abcde'] },
  ]);
});

test('restic patterns mean what restic documents', () => {
  runCases('patterns', [
    { patterns: ['node_modules'], excluded: ['node_modules', 'a/node_modules/b'], kept: ['node_modules2'] },
    { patterns: ['*.c'], excluded: ['x.c', 'a/x.c', 'a.c/b'], kept: ['x.cc'] },
    {
      patterns: ['/home/*/work'],
      excluded: ['home/user/work', 'home/user/work/x'],
      kept: ['home/work', 'home/a/b/work', 'x/home/user/work'],
    },
    { patterns: ['foo/*.c'], excluded: ['foo/x.c', 'a/foo/x.c'], kept: ['foo', 'foo/b/x.c'] },
    { patterns: ['foo/**/bar'], excluded: ['foo/bar', 'foo/x/y/bar', 'a/foo/x/bar'], kept: ['foo', 'foo/x'] },
    { patterns: ['/a/**'], excluded: ['a', 'a/b'], kept: ['b/a'] },
    { patterns: ['/a/**/b/**/c'], excluded: ['a/b/c', 'a/x/b/x/c'], kept: ['a/b'] },
    { patterns: ['**'], excluded: ['a'], kept: [] },
    { patterns: ['./a//b/../c/'], excluded: ['a/c', 'x/a/c'], kept: ['a/b'] },
    { patterns: ['[^a-c]x', 'y[\\]\\-]', '!*'], excluded: [], kept: ['dx', 'y]'] },
    { patterns: ['[^a-c]x', 'y[\\]\\-]'], excluded: ['dx', 'y]', 'y-'], kept: ['ax', 'yz'] },
    { patterns: ['*.c', '!keep.c', '/d/keep.c'], excluded: ['x.c', 'd/keep.c'], kept: ['keep.c', 'e/keep.c'] },
    { patterns: ['c', '!b'], excluded: ['c', 'a/c'], kept: ['b/c', 'b/x/c'] },
    { patterns: ['a', '!/a'], excluded: ['b/a'], kept: ['a', 'a/x/a'] },
    { patterns: ['/a[^b]c', '/a[+-9]d'], excluded: ['axc', 'a.d'], kept: ['a/c', 'a/d'] },
    { patterns: ['?', '*.é?'], excluded: ['a', 'é', '漢', 'x.éß'], kept: ['ab', 'x.é'] },
    { patterns: ['A.B'], excluded: ['A.B'], kept: ['a.b', 'AxB'] },
    { patterns: [''], excluded: [], kept: ['a'] },
  ]);
  runCases('insensitivePatterns', [
    { patterns: ['*.ÉΣ', '[A-C]x'], excluded: ['a.éσ', 'a.Éς'.replace('ς', 'Σ'), 'bX'], kept: ['a.e', 'dx'] },
  ]);
});

test('bytes that are not UTF-8 are told apart, and match wildcards', () => {
  const [ff, fe] = [Buffer.from('x\xff', 'latin1'), Buffer.from('x\xfe', 'latin1')];
  for (const kind of ['patterns', 'ignorePatterns'] as const) {
    assert.equal(excluded({ [kind]: ['x?'] }, ff), true);
    assert.equal(excluded({ [kind]: ['x\ufffd'] }, ff), false, 'the replacement character is not a wildcard');
    assert.equal(excluded({ [kind]: ['x\u00ff'] }, fe), false);
    assert.equal(excluded({ [kind]: ['xÿ'] }, ff), false, 'a pattern is UTF-8');
  }
});

test('the three lists add up, and without patterns nothing is excluded', () => {
  const options = { patterns: ['a'], insensitivePatterns: ['B'], ignorePatterns: ['c/', '!a'] };
  for (const path of ['a', 'b', 'c/']) assert.equal(excluded(options, path), true, path);
  for (const path of ['c', 'd']) assert.equal(excluded(options, path), false, path);
  assert.equal(excluded({}, 'a'), false);
  assert.equal(excluded({ patterns: ['!a'], ignorePatterns: ['# only a comment'] }, 'a'), false);
});

test('a pattern that cannot be meant is refused with its text', () => {
  const refused = (options: ExcludeOptions, code: string) =>
    assert.throws(
      () => compileExcludes(options),
      (error) => error instanceof HoldfastError && error.code === code && error.message.includes(Object.values(options)[0][0]),
    );
  for (const pattern of ['[a', 'a\\', '/', '!', '[[:no:]]', '[a-', '[\\']) refused({ ignorePatterns: [pattern] }, 'configuration');
  for (const pattern of ['[a', 'a\\', '/', '[]a]', '[-a]', '[a-]', '[]', '[^]', '[a-b', '!/']) refused({ patterns: [pattern] }, 'usage');
});

test('many stars take no exponential time', () => {
  const name = 'a'.repeat(255);
  const path = `${'a/'.repeat(2000)}a`;
  const started = performance.now();
  for (const kind of ['patterns', 'ignorePatterns'] as const) {
    assert.equal(excluded({ [kind]: [`${'*a'.repeat(40)}*b`] }, name), false);
    const { excludes } = compileExcludes({ [kind]: [`/${'**/a/'.repeat(20)}b`] });
    assert.equal(excludes(path as RawString, 'a' as RawString, false), false);
  }
  assert.ok(performance.now() - started < 20_000);
});

test('CACHEDIR.TAG is known by its signature', () => {
  const signature = 'Signature: 8a477f597d28d172789f06886806bc55';
  assert.equal(isCacheDirTag(Buffer.from(signature)), true);
  assert.equal(isCacheDirTag(Buffer.from(`${signature}\n# made by a test`)), true);
  assert.equal(isCacheDirTag(Buffer.from(signature.slice(0, -1))), false);
  assert.equal(isCacheDirTag(Buffer.from(` ${signature}`)), false);
  assert.equal(isCacheDirTag(Buffer.alloc(0)), false);
});
