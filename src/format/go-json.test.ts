import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc, runs } from '../../test/properties.ts';
import { rawFromBytes, rawFromText } from '../model/raw-bytes.ts';
import { jsonFromRaw, jsonFromText, jsonFromValue, parseJson } from './go-json.ts';
import { textFromBytes } from './utf8.ts';

const utf8 = (raw: string): string => Buffer.from(raw, 'latin1').toString();

test('text is escaped as encoding/json does', () => {
  assert.equal(jsonFromText('plain'), '"plain"');
  assert.equal(utf8(jsonFromText('<a>&"\\/')), '"\\u003ca\\u003e\\u0026\\"\\\\/"');
  assert.equal(utf8(jsonFromText('\b\f\n\r\t\v\x00\x1f\x7f')), '"\\b\\f\\n\\r\\t\\u000b\\u0000\\u001f\x7f"');
  assert.equal(utf8(jsonFromText('é\u2028\u2029😀\ufffd')), '"é\\u2028\\u2029😀\ufffd"');
  assert.equal(jsonFromText('a\udfffb'), '"a\\ufffdb"');
});

test('bytes that are not UTF-8 become \\ufffd one by one, and are told', () => {
  assert.deepEqual(jsonFromRaw(rawFromText('tär\u2028<')), { json: rawFromText('"tär\\u2028\\u003c"'), valid: true });
  assert.deepEqual(jsonFromRaw(rawFromBytes(Buffer.from([0xff, 0x41, 0xe2, 0x82]))), { json: '"\\ufffdA\\ufffd\\ufffd"', valid: false });
});

test('UTF-8 is judged as TextDecoder judges it', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const near = fc.constantFrom(
    0x00,
    0x41,
    0x7f,
    0x80,
    0x8f,
    0x90,
    0x9f,
    0xa0,
    0xbf,
    0xc0,
    0xc1,
    0xc2,
    0xdf,
    0xe0,
    0xed,
    0xef,
    0xf0,
    0xf4,
    0xf5,
    0xff,
  );
  fc.assert(
    fc.property(fc.array(near, { maxLength: 6 }), (values) => {
      const bytes = Buffer.from(values);
      let text: string | undefined;
      try {
        text = strict.decode(bytes);
      } catch {}
      assert.equal(jsonFromRaw(rawFromBytes(bytes)).valid, text !== undefined);
      if (text === undefined) assert.ok(textFromBytes(bytes).includes('\udfff'));
      else assert.equal(textFromBytes(bytes), text);
    }),
    { numRuns: runs(3000) },
  );
});

test('UTF-8 is valid from the first to the last code point of each length, but for surrogates', () => {
  for (const rune of [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff]) {
    assert.equal(textFromBytes(Buffer.from(String.fromCodePoint(rune))), String.fromCodePoint(rune));
  }
});

test('integers beyond 2^53 survive, other values are as JSON.parse makes them', () => {
  const text =
    '{"a":18446744073709551615,"b":[9007199254740993,-9007199254740993],"c":"1234567890123456789","d":1.5e3,"e":9007199254740991}';
  const value = parseJson(Buffer.from(text)) as Record<string, unknown>;
  assert.equal(value.a, 18446744073709551615n);
  assert.deepEqual(value.b, [9007199254740993n, -9007199254740993n]);
  assert.equal(value.e, 9007199254740991);
  assert.equal(jsonFromValue(value), text.replace('1.5e3', '1500'));
});

test('an escaped \\ufffd survives, an escaped backslash before ufffd is left alone', () => {
  for (const json of ['"\\ufffd"', '"\\\\ufffd"', '"\\\\\\ufffd\\ufffd"', '"\ufffd"']) {
    assert.equal(utf8(jsonFromText(parseJson(Buffer.from(json)) as string)), json);
  }
});

test('any JSON value is written back as it was', () => {
  const json = fc.jsonValue().map((value) => jsonFromValue(value));
  fc.assert(fc.property(json, (text) => assert.equal(jsonFromValue(parseJson(Buffer.from(text, 'latin1'))), text)));
});
