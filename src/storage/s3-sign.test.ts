import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { escaped, queryOf, type Signable, signed } from './s3-sign.ts';

/** Source: AWS, S3 API reference, "Signature Calculations for the Authorization Header": its examples. */
const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const signing = { credentials, region: 'us-east-1', now: new Date('2013-05-24T00:00:00Z') };
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const request: Signable = {
  method: 'GET',
  host: 'examplebucket.s3.amazonaws.com',
  path: '/',
  query: {},
  headers: {},
  bodyHash: sha256(''),
};

test('signatures are those of the published examples', () => {
  const put = { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' };
  const cases: [Partial<Signable>, signature: string][] = [
    [{ path: '/test.txt', headers: { range: 'bytes=0-9' } }, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    [
      { method: 'PUT', path: `/${escaped('test$file.text')}`, headers: put, bodyHash: sha256('Welcome to Amazon S3.') },
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    ],
    [{ query: { lifecycle: '' } }, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [{ query: { prefix: 'J', 'max-keys': '2' } }, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ];
  for (const [part, signature] of cases) {
    const { authorization } = signed({ ...request, ...part }, signing);
    assert.equal(authorization?.split('Signature=')[1], signature, JSON.stringify(part));
  }
});

test('a session token is sent, and signed', () => {
  const headers = signed(request, { ...signing, credentials: { ...credentials, sessionToken: 'token' } });
  assert.equal(headers['x-amz-security-token'], 'token');
  assert.match(headers.authorization ?? '', /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,/);
});

test('what is special in a URL is escaped, and the query stands in order', () => {
  assert.equal(
    queryOf({ 'upload-id': "a/b+c=('é')", acl: '', 'list-type': '2' }),
    'acl=&list-type=2&upload-id=a%2Fb%2Bc%3D%28%27%C3%A9%27%29',
  );
});
