import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../test/properties.ts';
import { redactUrls } from './redact-url.ts';

test('passwords in URLs become asterisks, wherever they stand in a text', () => {
  for (const [text, shown] of [
    ['rest:http://user:secret@host:8000/path/', 'rest:http://user:***@host:8000/path/'],
    ['no id: "rest:https://user:secret@host/" at all', 'no id: "rest:https://user:***@host/" at all'],
    ['rest:http://user:s@e/cr?et@host/', 'rest:http://user:***@host/'],
    ['rest:http://:secret@host/', 'rest:http://:***@host/'],
    ['http://a:secret@b to http://c:secret@d', 'http://a:***@b to http://c:***@d'],
    ['sftp:user:secret@host:/path', 'sftp:user:***@host:/path'],
    ['rclone:remote,user=me,pass=secret,port=1:path', 'rclone:remote,user=me,pass=***,port=1:path'],
    ["rclone::s3,secret_access_key='a secret':path", 'rclone::s3,secret_access_key=***:path'],
    ['--option=pass="a secret",x=1 url=token=secret', '--option=pass=***,x=1 url=token=***'],
    ['s3://bucket?secretAccessKey=secret&region=x', 's3://bucket?secretAccessKey=***&region=x'],
  ] as const)
    assert.equal(redactUrls(text), shown);
});

test('what holds no password stays as it is', () => {
  for (const text of [
    'sftp:backup@offsite:/shop',
    'sftp://backup@host:22//srv/a@b',
    's3:https://host:9000/bucket/a@b',
    'rest:http://[::1]:8000/a@b',
    '/srv/a:b@c',
    'project=shop, volume=data',
    'user@host: permission denied (publickey)',
  ])
    assert.equal(redactUrls(text), text);
});

test('no password is left that a URL can have', () => {
  const password = fc.stringMatching(/^[!-~]+$/).filter((text) => !/^\d*\//.test(text));
  fc.assert(
    fc.property(password, (text) => {
      assert.equal(redactUrls(`rest:https://user:${text}@host/path`), 'rest:https://user:***@host/path');
    }),
  );
});

test('a text that somebody has made for it takes no longer than another', { timeout: 20_000 }, () => {
  const texts = ['pass-', '://a:', 'sftp:a:', 'a-', 'pass="', "pass='", '@://a:', '://a:1/', '://'];
  for (const text of texts) assert.ok(redactUrls(text.repeat(100_000)).length > 0, text);
});
