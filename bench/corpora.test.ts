import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { listFiles } from './corpora/files.ts';
import { type CorpusName, churnCorpus, corpusNames, pristineCorpus } from './corpora.ts';

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-bench-test-'));
  const packages = join(scratch, 'checkout', 'node_modules');
  for (let number = 0; number < 300; number++) {
    const path = join(packages, `package-${number % 20}`, `file-${number}.js`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `export const number = ${number};\n`.repeat(1 + (number % 50)));
  }
  symlinkSync('package-1/file-1.js', join(packages, 'link'));
  writeFileSync(join(packages, 'large.node'), Buffer.alloc(2 * 1024 * 1024));
  writeFileSync(join(scratch, 'checkout', 'package-lock.json'), '{}');
});
after(() => rmSync(scratch, { recursive: true, force: true }));

const choiceOf = (name: CorpusName, seed = 'seed') => ({ name, seed, scale: 0.02, checkout: join(scratch, 'checkout') });
const make = (cache: string, name: CorpusName, seed?: string): string => pristineCorpus(join(scratch, cache), choiceOf(name, seed));
const churned = (root: string, name: CorpusName): string => {
  const copy = `${root}.copy`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
  churnCorpus(copy, choiceOf(name));
  return copy;
};
const contents = (root: string): Map<string, string> => {
  const hash = (path: string): string =>
    createHash('sha256')
      .update(readFileSync(join(root, path)))
      .digest('hex');
  return new Map(listFiles(root).files.map((path) => [path, hash(path)]));
};

for (const name of corpusNames) {
  test(`${name}: the same seed gives the same bytes and times, in both states; another seed others`, () => {
    const [one, two, other] = [make('one', name), make('two', name), make('three', name, 'other')];
    assert.deepEqual(contents(one), contents(two));
    assert.notDeepEqual(contents(one), contents(other));
    assert.deepEqual(contents(churned(one, name)), contents(churned(two, name)));
    for (const path of listFiles(one).files) assert.equal(lstatSync(join(one, path)).mtimeMs, lstatSync(join(two, path)).mtimeMs, path);
  });

  test(`${name}: the second state changes, adds and removes a little`, () => {
    const root = make('one', name);
    const [first, second] = [contents(root), contents(churned(root, name))];
    const same = [...first].filter(([path, hash]) => second.get(path) === hash).length;
    const changed = [...first].filter(([path, hash]) => second.has(path) && second.get(path) !== hash).length;
    const added = [...second.keys()].filter((path) => !first.has(path)).length;
    assert.ok(changed > 0, 'nothing changed');
    assert.ok(added > 0, 'nothing added');
    if (name !== 'databases') assert.ok(same > first.size * 0.75, `only ${same} of ${first.size} files are the same`);
  });
}

test('a corpus is made once, and goes when one of the same name and size is made anew', () => {
  const first = make('cache', 'media');
  writeFileSync(join(first, 'mark'), '');
  assert.equal(make('cache', 'media'), first);
  assert.ok(existsSync(join(first, 'mark')), 'it was made again');
  make('cache', 'media', 'other');
  assert.equal(existsSync(first), false);
});

test('databases compress 2 to 3 times, media not at all', () => {
  const ratio = (root: string): number => {
    const whole = Buffer.concat(listFiles(root).files.map((path) => readFileSync(join(root, path))));
    return whole.length / zstdCompressSync(whole).length;
  };
  const databases = ratio(make('one', 'databases'));
  assert.ok(databases > 2 && databases < 3.2, `databases: ${databases}`);
  assert.ok(ratio(make('one', 'media')) < 1.001);
});

test('the pages of a database that did not change stay where they are: at most a few per cent differ', () => {
  const root = make('one', 'databases');
  const path = 'sqlite/tasks.db';
  const [first, second] = [readFileSync(join(root, path)), readFileSync(join(churned(root, 'databases'), path))];
  assert.equal(first.length, second.length);
  const pages = first.length / 4096;
  let different = 0;
  for (let page = 0; page < pages; page++) {
    if (!first.subarray(page * 4096, (page + 1) * 4096).equals(second.subarray(page * 4096, (page + 1) * 4096))) different++;
  }
  assert.ok(different > 0 && different < pages * 0.03, `${different} of ${pages} pages`);
});

test('sources hold the wanted number of files, symbolic links, no large programs, and a sound git repository', () => {
  const root = make('one', 'sources');
  const { files, symlinks } = listFiles(root);
  assert.ok(files.filter((path) => path.includes('node_modules')).length >= 42_000 * 0.02);
  assert.ok(symlinks.length > 0);
  assert.equal(
    files.find((path) => path.endsWith('large.node')),
    undefined,
  );
  for (const tree of [root, churned(root, 'sources')]) {
    const git = (...args: string[]): string => execFileSync('git', ['-C', join(tree, 'repository'), ...args], { encoding: 'utf8' });
    git('fsck', '--strict');
    assert.equal(git('status', '--porcelain'), '');
  }
});
