import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { anyText, fc, runs } from '../../test/properties.ts';
import type { RawString } from '../model/raw-bytes.ts';
import { rawFromBytes, rawFromText } from '../model/raw-bytes.ts';
import { isPrintable, quoteName, unquoteName } from './go-quote.ts';

const quotedText = (bytes: readonly number[]): string => Buffer.from(quoteName(rawFromBytes(Buffer.from(bytes))), 'latin1').toString();

test('a name is quoted as strconv.Quote does', () => {
  const cases: [string | number[], string][] = [
    ['plain name.txt', 'plain name.txt'],
    ["<>&'", "<>&'"],
    ['"\\', '\\"\\\\'],
    ['\x07\b\f\n\r\t\v', '\\a\\b\\f\\n\\r\\t\\v'],
    ['\x00\x1b\x7f', '\\x00\\x1b\\x7f'],
    ['café日本😀\ue000', 'café日本😀\\ue000'],
    ['\u0085\u00a0\u00ad\u2028\ufeff\u202e', '\\u0085\\u00a0\\u00ad\\u2028\\ufeff\\u202e'],
    ['\ufffd', '\ufffd'],
    ['\u{e0001}\u{10ffff}', '\\U000e0001\\U0010ffff'],
    [[0xff, 0x61, 0x80], '\\xffa\\x80'],
    [[0xed, 0xa0, 0x80], '\\xed\\xa0\\x80'],
    [[0xc0, 0xaf, 0xe2, 0x82], '\\xc0\\xaf\\xe2\\x82'],
    [[0xf4, 0x90, 0x80, 0x80], '\\xf4\\x90\\x80\\x80'],
  ];
  for (const [name, quoted] of cases) assert.equal(quotedText([...Buffer.from(name as string)]), quoted);
});

test('printable is what Unicode 15.0 calls so, whatever this Node knows', () => {
  // Count and digest were taken when all 1,112,062 code points that a name can hold were found quoted as restic 0.19.1 quotes them.
  const bits = Buffer.alloc(0x110000);
  let count = 0;
  for (let rune = 0; rune < 0x110000; rune++) {
    if (rune >= 0xd800 && rune <= 0xdfff) continue;
    if (isPrintable(rune)) {
      bits[rune] = 1;
      count++;
    }
  }
  assert.equal(count, 148_998);
  assert.equal(createHash('sha256').update(bits).digest('hex'), 'a24a109bc8e347f9490466c59e4160d0dc9dd1006a5be9a4c91af71cd2e7fa99');
});

test('quoting and unquoting are inverse for any bytes', () => {
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    anyText({ maxLength: 8 }).map((text) => Buffer.from(text)),
    fc.constantFrom('\\', '"', '\\xff', '\\u00e9', '\n', '<').map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => {
      const name = rawFromBytes(Buffer.concat(parts));
      const text = Buffer.from(quoteName(name), 'latin1').toString();
      assert.equal(unquoteName(text), name);
    }),
    { numRuns: runs(1000) },
  );
});

test('every escape that strconv.Unquote knows is understood, and nothing else', () => {
  assert.equal(unquoteName('\\101\\377\\x41\\u00e9\\U0001f600'), rawFromBytes(Buffer.from([0x41, 0xff, 0x41, ...Buffer.from('é😀')])));
  assert.equal(unquoteName('a\tb'), 'a\tb' as RawString);
  assert.equal(unquoteName('日本'), rawFromText('日本'));
  const refused = [
    '"',
    'a"b',
    'a\nb',
    '\\',
    '\\x4',
    '\\xzz',
    '\\400',
    '\\18',
    "\\'",
    '\\q',
    '\\u12',
    '\\ud800',
    '\\U00110000',
    '\\UFFFFFFFF',
  ];
  for (const quoted of refused) assert.equal(unquoteName(quoted), undefined, quoted);
});

test('unquoting never throws', () => {
  fc.assert(fc.property(anyText(), (text) => assert.doesNotThrow(() => unquoteName(text))));
});
