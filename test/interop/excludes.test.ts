import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { compileExcludes, type ExcludeOptions } from '../../src/engine/source/excludes.ts';
import { HoldfastError } from '../../src/model/errors.ts';
import { type RawString, rawFromText } from '../../src/model/raw-bytes.ts';
import { requirePeer, requireRestic, scratch } from '../peers.ts';
import { fc } from '../properties.ts';

/** Excludes against the programs whose patterns they take: the same patterns, the same tree, the same answer for every entry. */

const files = [
  ...['a', 'b', '.a', 'ab', 'abc', 'Ab', 'a b', 'a.c', 'b.c', 'x-y', '[a]', 'a*', 'a\\', '!a', '#a', 'é', 'éa', 'a\nb', ']', '-'],
  ...['d/a', 'd/b', 'd/a.c', 'd/.c', 'd/d/a', 'd/d/b.c', 'd/e/a', 'd/e/d/a', 'd/e/d/b', 'd/é/a', 'd/e f/b.c'],
  ...['e/a', 'e/d/a', 'e/d/d/a.c', 'e/e/e/e/a', 'e/e/e/e/b', 'c.d/a', 'c.d/b/a', 'c.d/b/d/e/a', '.d/a', '.d/.a/b', 'D/A', 'D/a.C'],
];

/** Entries by path; true is a directory. */
const entries = new Map<string, boolean>();
for (const file of files) {
  for (let path = dirname(file); path !== '.'; path = dirname(path)) entries.set(path, true);
  entries.set(file, false);
}

function writeTree(folder: string): void {
  for (const [path, isDirectory] of entries) mkdirSync(join(folder, isDirectory ? path : dirname(path)), { recursive: true });
  for (const file of files) writeFileSync(join(folder, file), '');
}

/** The entries that a walk which doesn't enter excluded directories keeps. */
function keptEntries(rules: ExcludeOptions): string[] {
  const { excludes } = compileExcludes(rules);
  const isOut = (path: string) => {
    const raw = rawFromText(path);
    return excludes(raw, raw.slice(raw.lastIndexOf('/') + 1) as RawString, entries.get(path) as boolean);
  };
  const kept = (path: string): boolean => path === '.' || (kept(dirname(path)) && !isOut(path));
  return [...entries.keys()].filter(kept).sort();
}

/** Wrong patterns are errors; they have their own tests. */
function isAccepted(rules: ExcludeOptions): boolean {
  try {
    compileExcludes(rules);
    return true;
  } catch (error) {
    assert.ok(error instanceof HoldfastError);
    return false;
  }
}

const anyOf = (...tokens: string[]) => fc.constantFrom(...tokens);
const plain = anyOf('a', 'b', 'c', 'd', 'e', 'A', '.', '.c', 'é', ' ', '-', '!', '#', ']');
const wild = anyOf('*', '*', '?', '[ab]', '[a-d]', '[a-b-]', '[.a-]', '\\a', '\\*', '\\[', '\\\\', '\\!');
const segmentOf = (...more: fc.Arbitrary<string>[]) =>
  fc.array(fc.oneof({ arbitrary: plain, weight: 3 }, wild, ...more), { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join(''));

test('gitignore patterns exclude what git ignores', (t) => {
  const git = requirePeer(t, 'git');
  if (git === undefined) return;
  const folder = scratch(t);
  const [tree, list] = [join(folder, 'tree'), join(folder, 'patterns')];
  writeTree(tree);
  const settings = { cwd: tree, encoding: 'utf8', env: { PATH: process.env.PATH, HOME: folder, GIT_CONFIG_NOSYSTEM: '1' } } as const;
  assert.equal(spawnSync(git, ['init', '--quiet'], settings).status, 0);
  const ignored = (patterns: string[]): Set<string> => {
    writeFileSync(list, patterns.map((pattern) => `${pattern}\n`).join(''));
    const args = ['-c', `core.excludesFile=${list}`, 'check-ignore', '--no-index', '-z', '--stdin'];
    const { status, stdout, stderr } = spawnSync(git, args, { ...settings, input: [...entries.keys()].join('\0') });
    assert.ok(status === 0 || status === 1, stderr);
    return new Set(stdout.split('\0'));
  };

  const segment = segmentOf(anyOf('[!a]', '[^ab]', '[]a]', '[[:upper:]]', '[[:alpha:].]', '[!]-]', '[b-a]'));
  const path = fc.array(fc.oneof({ arbitrary: segment, weight: 4 }, anyOf('**', '**', '***')), { minLength: 1, maxLength: 4 });
  const pattern = fc
    .tuple(anyOf('', '', '', '!'), anyOf('', '/'), path, anyOf('', '', '/'), anyOf('', '', ' ', '\\ '))
    .map(([sign, root, segments, end, space]) => sign + root + segments.join('/') + end + space)
    // Two stars beside other characters are where git departs from what it documents.
    .filter((text) => !/[^/!*]\*\*|\*\*[^/*]/.test(text) && isAccepted({ ignorePatterns: [text] }));
  const property = fc.property(fc.array(pattern, { minLength: 1, maxLength: 5 }), (patterns) => {
    const out = ignored(patterns);
    assert.deepEqual(keptEntries({ ignorePatterns: patterns }), [...entries.keys()].filter((entry) => !out.has(entry)).sort());
  });
  fc.assert(property, { seed: 20, numRuns: 150 });

  for (const never of ['[a', 'a\\', '/', '[[:no:]]', '!']) {
    assert.throws(() => compileExcludes({ ignorePatterns: [never] }), HoldfastError);
    assert.equal(ignored([never]).size, 1, `${never}: git ignores nothing`);
  }
});

for (const name of ['stock', 'newest'] as const) {
  test(`restic patterns exclude what ${name} restic excludes`, (t) => {
    const restic = requireRestic(t, name);
    if (restic === undefined) return;
    const folder = scratch(t);
    const environment = {
      ...process.env,
      RESTIC_REPOSITORY: join(folder, 'repository'),
      RESTIC_PASSWORD: 'x',
      RESTIC_CACHE_DIR: join(folder, 'cache'),
    };
    const run = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync(restic.path, args, { env: environment, encoding: 'utf8', maxBuffer: 1 << 28 });
      assert.equal(status, 0, stderr);
      return stdout;
    };

    // One case costs restic a second, so many cases share a run: each has its tree, and patterns that are anchored there.
    const segment = segmentOf(anyOf('[^a]', '[^a-c]', '[\\]a]', '[é]', '[a-é]', '[b-a]'));
    const path = fc.tuple(fc.array(segment, { maxLength: 2 }), anyOf('', '**', '**'), fc.array(segment, { maxLength: 2 }));
    const pattern = fc
      .tuple(anyOf('', '', '', '!'), fc.boolean(), path)
      .map(([sign, anchored, [before, stars, after]]) => ({
        sign,
        anchored,
        segments: [...before, stars, ...after].filter((part) => part !== ''),
      }))
      .filter(({ segments }) => segments.length > 0 && isAccepted({ patterns: [segments.join('/')] }));
    // What includes again does so for all that lies below, too.
    const again = [true, false].map((anchored) => [
      { sign: '', anchored: false, segments: ['a'] },
      { sign: '!', anchored, segments: ['d'] },
    ]);
    const cases = [...again, ...fc.sample(fc.array(pattern, { minLength: 1, maxLength: 4 }), { seed: 21, numRuns: 25 })];

    const expected: string[] = [];
    const args: string[] = [];
    for (const [index, patterns] of cases.entries()) {
      const root = join(folder, 'trees', `case-${index}`);
      writeTree(root);
      const own = patterns.map(({ sign, anchored, segments }) => `${sign}${anchored ? '/' : ''}${segments.join('/')}`);
      expected.push(...keptEntries({ patterns: own }).map((entry) => `${own.join(' ')}: ${join(root, entry)}`));
      // A relative pattern below a root is an anchored one with any directories in between. One that has `**` already
      // would then have two, which restic doesn't take at its word: it gets one pattern a depth.
      for (const { sign, anchored, segments } of patterns) {
        const rest = segments.join('/');
        const depths = anchored ? [''] : ['', '*/', '*/*/', '*/*/*/', '*/*/*/*/', '*/*/*/*/*/'];
        for (const depth of depths) args.push('--exclude', `${sign}${root}/${depth}${rest}`);
      }
    }
    run('init');
    run('backup', ...args, join(folder, 'trees'));
    const prefix = join(folder, 'trees', 'case-');
    const kept = run('ls', '--json', 'latest')
      .split('\n')
      .filter((line) => line.includes('"path":'));
    const actual: string[] = [];
    for (const line of kept) {
      const { path: entry } = JSON.parse(line) as { path: string };
      if (!entry?.startsWith(prefix)) continue;
      const index = Number.parseInt(entry.slice(prefix.length), 10);
      if (entry === `${prefix}${index}`) continue;
      const own = (cases[index] ?? []).map(({ sign, anchored, segments }) => `${sign}${anchored ? '/' : ''}${segments.join('/')}`);
      actual.push(`${own.join(' ')}: ${entry}`);
    }
    assert.deepEqual(actual.sort(), expected.sort());
  });
}
