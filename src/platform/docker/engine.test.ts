import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutSecrets } from './engine.ts';

test('what the Engine quotes of a volume loses its secrets, and nothing that explains', () => {
  const said = (options: string) => `failed to mount local volume: mount //nas/x:/v/_data, data: ${options}: no such device`;
  assert.equal(withoutSecrets(said('addr=nas,username=u,password=a:b c')), said('addr=nas,username=u,password=...'));
  assert.equal(withoutSecrets(said('pass=p,Password2=q=r,vers=3')), said('pass=...,Password2=...,vers=3'));
  assert.equal(withoutSecrets(said('credentials=/etc/secret')), said('credentials=...'));
  assert.equal(withoutSecrets('token=abc'), 'token=...');
  for (const words of ['no such container: web', said('addr=10.0.0.1,ro')]) assert.equal(withoutSecrets(words), words);
});
