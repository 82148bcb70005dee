import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { askNewSecret, askSecret, type Keyboard, terminalOf } from './prompt.ts';

function terminal() {
  const keyboard = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => keyboard }) as unknown as Keyboard & PassThrough;
  let shown = '';
  const screen = { write: (text: string) => (shown += text), isTTY: true };
  return { terminal: { keyboard, screen }, type: (text: string) => void keyboard.write(text), shown: () => shown };
}

test('a secret is asked for, and does not show', async () => {
  const { terminal: at, type, shown } = terminal();
  const asked = askSecret(at, 'password of the repository');
  type('hunter3\u007f2é\r');
  assert.equal((await asked).toString(), 'hunter2é');
  assert.equal(shown(), 'password of the repository: \n');
});

test('a new secret is asked for twice', async () => {
  for (const [second, same] of [
    ['one', true],
    ['two', false],
  ] as const) {
    const { terminal: at, type, shown } = terminal();
    const asked = askNewSecret(at, 'new password');
    const result = same ? asked.then((answer) => assert.equal(answer.toString(), 'one')) : assert.rejects(asked, { code: 'usage' });
    type('one\r');
    while (!shown().includes('again')) await new Promise((resolve) => setImmediate(resolve));
    type(`${second}\r`);
    await result;
    assert.equal(shown(), 'new password: \nthe same again: \n');
  }
});

test('Ctrl-C interrupts; nothing is no password', async () => {
  for (const [typed, code] of [
    ['abc\u0003', 'interrupted'],
    ['\r', 'password-missing'],
    ['\u0004', 'password-missing'],
  ] as const) {
    const { terminal: at, type } = terminal();
    const asked = assert.rejects(askSecret(at, '?'), { code });
    type(typed);
    await asked;
  }
});

test('nobody is asked where nobody is', () => {
  const { terminal: at } = terminal();
  const { keyboard: stdin, screen: stderr } = at;
  assert.deepEqual(terminalOf({ stdin, stderr }), at);
  assert.equal(terminalOf({ stderr }), undefined);
  assert.equal(terminalOf({ stdin, stderr: { write: () => true } }), undefined);
});
