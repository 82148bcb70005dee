import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKindCounter } from './kind-counter.ts';

const kindOfName = (name: string): string => {
  const counter = createKindCounter();
  counter.add(name);
  return counter
    .take()
    .map(([kind]) => kind)
    .join();
};

test('a file is of the kind of its last extension; numbers and dates behind it are none', () => {
  const expected: Record<string, string> = {
    'photo.JPG': 'jpg',
    'archive.tar.gz': 'gz',
    'song.mp3': 'mp3',
    'app.log.1': 'log',
    'app.log-20260131': 'log',
    'app.log.2026-01-31': 'log',
    'libz.so.1.2.13': 'so',
    README: '',
    IMG_1234: '',
    '.bashrc': '',
    '.1': '',
    'ends.': '',
    'report.docx.locked': 'locked',
    'report.docx.[A1B2]': '?',
    'mail,S=1234.M56P7.host:2,S': '?',
    'a sentence. And another one, longer': '?',
    '\u00ff.\u00fe': '?',
  };
  for (const [name, kind] of Object.entries(expected)) assert.equal(kindOfName(name), kind, name);
});

test('spellings of a kind are one, and it begins anew', () => {
  const counter = createKindCounter();
  for (const name of ['a.jpg', 'b.JPG', 'c.Jpg', 'd.txt']) counter.add(name);
  assert.deepEqual(
    new Map(counter.take()),
    new Map([
      ['jpg', 3],
      ['txt', 1],
    ]),
  );
  assert.deepEqual(counter.take(), []);
});

test('a million names that end in a million ways take no memory for each, and all are counted', () => {
  const counter = createKindCounter();
  for (let i = 0; i < 1_000_000; i++) counter.add(`file.x${i.toString(36)}q`);
  counter.add('later.txt');
  const kinds = counter.take();
  assert.ok(kinds.length < 4_200, `${kinds.length}`);
  assert.equal(
    kinds.reduce((sum, [, files]) => sum + files, 0),
    1_000_001,
  );
});
