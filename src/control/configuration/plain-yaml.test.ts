import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fc } from '../../../test/properties.ts';
import { readPlainYaml } from './plain-yaml.ts';
import { parseSource } from './yaml-document.ts';

/** What it reads, the parser reads as the same, and has nothing against. Returns whether it read it. */
function agrees(text: string): boolean {
  const value = readPlainYaml(text);
  if (value === undefined) return false;
  const document = parseSource(text);
  assert.deepEqual(document.mistakes, [], JSON.stringify(text));
  assert.deepStrictEqual(value, document.value, JSON.stringify(text));
  return true;
}

test('what most files are made of is read, as the parser reads it', async () => {
  for (const text of [
    await readFile(new URL('../../../examples/auto-claude/holdfast.yaml', import.meta.url), 'utf8'),
    '# A comment\n\nproject: shop # another\nvolumes:\n  data:\n  7: ~\n    # indented\n  null: {}   \n',
    'volumes: { a: { path: "/x # y", size: 50Gi, sensitive: true }, b: , c: {} , }',
    'repositories:\n  r:\n    url: s3://bucket/a?b\n    options: { n: 12, z: 0 }\n',
    'repositories: { r: { url: s3:bucket/x } }\ndaemon:\n  listen: 127.0.0.1:7468',
    'hooks:\n  before:\n  - run: pg_dump -U me > /tmp/x\n    in: db\n  - run: [sync, \'a b\', ""]\n  after:\n    -\n      run: x\n    - - 1\n      - -2\n',
    'a:\n  - x # y\n  -   b: 1\n      c: null\n  -\n  - - \n    - d:\n    - e: .\n',
    'retention: {hourly: 24, manual: 90d}\n\n\n',
    '  a: ~/d\n  b: a-b - c\n',
  ])
    assert.ok(agrees(text), text);
});

test('words are what the core schema takes them for', () => {
  const words =
    '~ ~~ ~/d null Null NULL nUll true True TRUE tRUE false False FALSE yes no on off y n 0 1 -1 10 999999999999999 1_000 0b1 1a 1.a 50Gi 1h 12:30 12:30:45 2024-01-01 1.2.3.4:5 . .. ./x .x -x -.x +x $x a:b a+b a#b'.split(
      ' ',
    );
  let read = 0;
  for (const word of words) for (const text of [`a: ${word}`, `a: [ ${word} ]`, `${word}: a`, `- ${word}`]) if (agrees(text)) read++;
  assert.ok(read > 130, `${read}`);
});

test('what is not plain, or a mistake, is left to the parser', () => {
  for (const text of [
    '',
    '# nothing',
    'a: 1\na: 2',
    'a: { b: 1, b: 2 }',
    'a: 1\n  b: 2',
    'a:\n    b: 1\n  c: 2',
    '  a: 1\nb: 2',
    'a: b\n  c',
    'a: "b\n  c"',
    'a: "\\n"',
    "a: 'it''s'",
    'a: |\n  b',
    'a: &b c',
    'a: *b',
    'a: !b c',
    'a: @b',
    'a: [b',
    'a: { b }',
    'a: {b:1}',
    'a: [b: c]',
    'a: [,]',
    'a: b: c',
    'a: b:',
    'a: "b" c',
    'a: "b"#c',
    'a: - b',
    'a: ---',
    '- a\nb: c',
    '<<: { a: 1 }',
    '__proto__: { a: 1 }',
    '? a\n: b',
    '---\na: 1',
    'a: 1\n---\nb: 1',
    'a:\t1',
    'a: 1\r\nb: 2\r\n',
    '\ufeffa: 1',
    'a: "\u2028"',
    'a: "\ud800"',
    ...['007', '+1', '1.5', '.5', '1e3', '0x1f', '0o7', '.inf', '-.INF', '.nan', '-0', '12345678901234567890'].map(
      (number) => `a: ${number}`,
    ),
    `a: ${'['.repeat(50)}${']'.repeat(50)}`,
    `${'- '.repeat(50)}1`,
    `a: ${'x'.repeat(10_000_000)}`,
  ])
    assert.equal(readPlainYaml(text), undefined, text.slice(0, 100));
});

test('any text: the same as the parser, or nothing', () => {
  const scalar =
    '1|0|-3|true|Null|~|x|a b|50Gi|./v|"q"|\'s\'|\'\'|""|1.5|07|s3://b/p|.5|1_000|1e5|12:30|- x|-x|a # c|a#c|x,y|[1, 2]|[]|{}|{ a: 1 }|{ a: , b: [x, "y"] }|[ a, ]|{ a }|[a: b]|{a:1}|{ , }|>-|&a x|!t x|=|é|0x1F|.inf|x:|a: b|\'it\'\'s\'|"a" # b|{ a: 1 } # b|{ a: 1 }x|[1]]|..|--|$|a  b|(x)|x & y|0 4 * * 0'.split(
      '|',
    );
  const key = ['a: ', 'b: ', 'c:', 'd:  ', '- ', '- a: ', '-', '- - ', 'f : ', '"g": ', '1: ', '- b:', '-  c: ', '# ', '<<: ', ''];
  const piece = fc.constantFrom(...scalar, ...key, ...'\n|\n  |, |: |#|"|{|}|[|]|---|...|\t|?'.split('|'));
  const line = fc
    .tuple(
      fc.constantFrom('', '', '  ', '  ', '    ', ' '),
      fc.constantFrom(...key),
      fc.constantFrom(...scalar),
      fc.constantFrom('', '', ' ', ' # c', '#'),
    )
    .map((parts) => parts.join(''));
  const text = fc.oneof(
    fc.array(line, { minLength: 1, maxLength: 6 }).map((lines) => lines.join('\n')),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  );
  let read = 0;
  const property = fc.property(text, (source) => {
    if (agrees(source)) read++;
  });
  fc.assert(property, { numRuns: Number(process.env.HOLDFAST_YAML_FUZZ ?? 10_000) });
  assert.ok(read > 100, `${read}`);
});
