import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandWords } from './command-words.ts';

test('words, quotes and backslashes', () => {
  const cases: [string, string[]][] = [
    ['', []],
    ['  ', []],
    ['ssh  user@host\t-s sftp', ['ssh', 'user@host', '-s', 'sftp']],
    [`"a b" 'c "d' e\\ f`, ['a b', 'c "d', 'e f']],
    [`-oProxyCommand="nc %h '%p'" x`, [`-oProxyCommand=nc %h '%p'`, 'x']],
    [`"say \\"hi\\" \\n"`, ['say "hi" \\n']],
    [`"" ''`, ['', '']],
  ];
  for (const [text, words] of cases) assert.deepEqual(commandWords(text), words, text);
});
