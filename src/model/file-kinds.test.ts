import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../test/properties.ts';
import { isOfRansomware, isWellKnown, kindOf, parseKinds, textOfKinds } from './file-kinds.ts';

test('an extension is a kind, whatever its case; what is odd or long is of no kind of its own', () => {
  assert.deepEqual(['JPG', 'd', '7z', '', 'two words', 'ümlaut', 'a'.repeat(13)].map(kindOf), ['jpg', 'd', '7z', '', '?', '?', '?']);
});

test('the most frequent kinds are listed, what ransomware leaves before all; the rest is summed up', () => {
  const counts = new Map(Array.from({ length: 30 }, (_, i): [string, number] => [`kind${i}`, 100 + i]));
  counts.set('locked', 1).set('txt', 3).set('?', 5);
  const kinds = parseKinds(textOfKinds(counts));
  assert.equal(kinds.listed.size, 16);
  assert.equal(kinds.listed.get('locked'), 1);
  assert.equal(kinds.listed.get('kind29'), 129);
  assert.equal(kinds.known, 3);
  assert.equal(kinds.unknown, 5 + Array.from({ length: 15 }, (_, i) => 100 + i).reduce((sum, files) => sum + files));
  // The one of ransomware is there whatever there is of it, and says nothing of those that are not listed.
  assert.equal(kinds.least, 115);
});

test('every file is in the text, which stays short', () => {
  const counts = fc.dictionary(fc.stringMatching(/^[a-z0-9_]{0,12}$/), fc.integer({ min: 1, max: 1e9 }), {
    maxKeys: 200,
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(counts, (made) => {
      const all = new Map(Object.entries(made));
      const text = textOfKinds(all);
      assert.ok(text.length <= 18 * 24);
      assert.equal(
        parseKinds(text).total,
        [...all.values()].reduce((sum, files) => sum + files, 0),
      );
      assert.equal(textOfKinds(new Map([...all].reverse())), text);
    }),
    { numRuns: runs(200) },
  );
});

test('a text that nobody wrote so is no trouble', () => {
  assert.deepEqual(
    [...parseKinds('txt=3 nothing =x a=-1 b=1.5 c=9e99 __proto__=2').listed],
    [
      ['txt', 3],
      ['__proto__', 2],
    ],
  );
  assert.equal(parseKinds('a=1 '.repeat(1_000)).total, 0);
  fc.assert(fc.property(fc.string({ maxLength: 500 }), (text) => parseKinds(text).total >= 0));
});

test('nothing is of ransomware and well known', () => {
  for (const kind of ['locked', 'encrypted', 'lockbit', 'wncry']) assert.ok(isOfRansomware(kind) && !isWellKnown(kind));
  for (const kind of ['', 'jpg', 'docx', 'js', 'gz', 'lock', 'pack']) assert.ok(isWellKnown(kind) && !isOfRansomware(kind));
});
