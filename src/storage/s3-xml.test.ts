import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementsOf, escapedText, textOf } from './s3-xml.ts';

test('elements and their texts are found, entities and attributes or not', () => {
  const xml = `<?xml version="1.0"?><L xmlns="urn:s3"><C><Key>a&amp;b&#x3c;&#62;&quot;&apos;</Key></C>\n<C x="1"><Key>2</Key><Size>7</Size></C><CX>no</CX></L>`;
  const found = elementsOf(xml, 'C');
  assert.deepEqual(
    found.map((element) => [textOf(element, 'Key'), textOf(element, 'Size')]),
    [
      ['a&b<>"\'', undefined],
      ['2', '7'],
    ],
  );
  assert.deepEqual(elementsOf(xml, 'D'), []);
});

test('entities that name nothing stay as they are', () => {
  assert.equal(textOf('<a>&nope;&#99999999;&#x110000;&amp;lt;</a>', 'a'), '&nope;&#99999999;&#x110000;&lt;');
});

test('text comes back as it was escaped', () => {
  const text = '"<&amp;>"';
  assert.equal(textOf(`<a>${escapedText(text)}</a>`, 'a'), text);
});
