import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSftpAddress } from './sftp-settings.ts';

const parse = (url: string, options: Record<string, string> = {}) => parseSftpAddress({ url, options });
/** What comes behind the options. */
const target = (url: string, options: Record<string, string> = {}): string[] =>
  parse(url, options).args.filter((arg) => !arg.startsWith('-o'));

test("restic's forms of the URL", () => {
  const cases: [string, string[], string, string][] = [
    ['sftp:user@host:dir/repo', ['-l', 'user', '-s', '--', 'host', 'sftp'], 'dir/repo', 'sftp:user@host:dir/repo'],
    ['sftp:host:/srv/repo/', ['-s', '--', 'host', 'sftp'], '/srv/repo', 'sftp:host:/srv/repo'],
    ['sftp:a@b.c@host:x', ['-l', 'a@b.c', '-s', '--', 'host', 'sftp'], 'x', 'sftp:a@b.c@host:x'],
    ['sftp:host:a:b', ['-s', '--', 'host', 'sftp'], 'a:b', 'sftp:host:a:b'],
    ['sftp:[::1]:/x', ['-s', '--', '::1', 'sftp'], '/x', 'sftp:[::1]:/x'],
    [
      'sftp://user@host:2222//srv/repo',
      ['-p', '2222', '-l', 'user', '-s', '--', 'host', 'sftp'],
      '/srv/repo',
      'sftp://user@host:2222//srv/repo',
    ],
    ['sftp://host/repo', ['-s', '--', 'host', 'sftp'], 'repo', 'sftp:host:repo'],
    ['sftp://me@[fe80::1]:22/re%20po', ['-p', '22', '-l', 'me', '-s', '--', 'fe80::1', 'sftp'], 're po', 'sftp://me@[fe80::1]:22/re po'],
  ];
  for (const [url, args, path, location] of cases) {
    assert.deepEqual(target(url), args, url);
    const settings = parse(url);
    assert.deepEqual([settings.program, settings.path, settings.location], ['ssh', path, location]);
    assert.equal(parse(settings.location.replaceAll(' ', '%20')).path, path, 'the location is a URL');
  }
});

test('ssh never asks, and the arguments of the user go first', () => {
  const { args } = parse('sftp:host:x', { args: '-F "/a b/config" -oBatchMode=no' });
  assert.deepEqual(args.slice(0, 3), ['-F', '/a b/config', '-oBatchMode=no']);
  for (const option of ['BatchMode=yes', 'ServerAliveInterval=15', 'ServerAliveCountMax=4', 'ControlMaster=no'])
    assert.ok(args.includes(`-o${option}`), option);
});

test('a command replaces ssh and all that it would be given', () => {
  const { program, args } = parse('sftp:host:x', { command: 'connect --to "the server"' });
  assert.deepEqual([program, args], ['connect', ['--to', 'the server']]);
  assert.throws(() => parse('sftp:host:x', { command: 'a', args: 'b' }), { code: 'usage' });
  assert.throws(() => parse('sftp:host:x', { command: ' ' }), { code: 'usage' });
});

test('what is no place, or would be taken for an option or by a shell, is refused, and not repeated', () => {
  const hostile = [
    'sftp:-oProxyCommand=evil:x',
    'sftp:-l@-oProxyCommand=evil:x',
    'sftp:-x@host:y',
    'sftp:$(evil)@host:y',
    'sftp:`evil`:y',
    'sftp:a b:y',
    'sftp:a\nb:y',
    'sftp:;evil:y',
  ];
  const wrong = [
    'sftp:',
    'sftp:host',
    'sftp:host:',
    'sftp::x',
    'sftp:user@:x',
    'sftp://host',
    'sftp://host/',
    'sftp://:22/x',
    'sftp://host:0/x',
    'sftp://host:70000/x',
    'sftp:host:~/x',
    'sftp:host:a\0b',
  ];
  for (const url of [...hostile, ...wrong]) {
    assert.throws(
      () => parse(url),
      (error: Error & { code?: string }) => error.code === 'usage' && !error.message.includes('evil'),
      url,
    );
  }
  assert.throws(
    () => parse('sftp://user:hunter22@host/x'),
    (error: Error & { remedy?: string }) => !`${error.message}${error.remedy}`.includes('hunter22'),
  );
});

test('options that there are not, and numbers that are none, are refused', () => {
  assert.throws(() => parse('sftp:host:x', { arguments: 'x' }), { code: 'usage', message: /arguments/ });
  assert.throws(() => parse('sftp:host:x', { connections: '0' }), { code: 'usage' });
  assert.throws(() => parse('sftp:host:x', { timeout: 'soon' }), { code: 'usage' });
});
