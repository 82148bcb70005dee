import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Options, parseOptions } from './options.ts';

const parse = (...args: string[]): Options => parseOptions(args, '/checkout') as Options;

test('defaults: everything, three times, full size', () => {
  const { corpora, peers, works, repeat, scale } = parse();
  assert.deepEqual([corpora.length, peers.length, works.length, repeat, scale], [3, 5, 9, 3, 1]);
});

test('lists and numbers are taken as given', () => {
  const { corpora, peers, repeat, counts } = parse('--corpora', 'media,sources', '--peers', 'borg', '--repeat', '5', '--counts', '10,20');
  assert.deepEqual([corpora, peers, repeat, counts], [['media', 'sources'], ['borg'], 5, [10, 20]]);
});

test('what does not exist is refused by name', () => {
  assert.throws(() => parse('--corpora', 'musik'), /--corpora: there is no "musik", only sources, databases, media/);
  assert.throws(() => parse('--repeat', '0'), /--repeat/);
  assert.throws(() => parse('--scale', 'large'), /--scale/);
  assert.throws(() => parse('--sceds'), /--sceds/);
});

test('links are a server and a latency', () => {
  assert.deepEqual(parse().network, []);
  assert.deepEqual(parse('--network', 'rest:0,s3:100').network, [
    { server: 'rest', delayMs: 0 },
    { server: 's3', delayMs: 100 },
  ]);
  for (const wrong of ['ftp:1', 'rest', 'rest:fast', 'rest:'])
    assert.throws(() => parse('--network', wrong), /--network: expected SERVER:MILLISECONDS/);
});
