/** Asks for secrets at a terminal. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { HoldfastError } from '../model/errors.ts';
import type { Sink } from './output/sink.ts';

/** Where answers come from; `process.stdin` is one. */
export type Keyboard = NodeJS.ReadableStream & { isTTY?: boolean };

export type Terminal = { keyboard: Keyboard; screen: Sink };

/** The terminal that a program was started from, or undefined when nobody would see a question or could answer it. */
export function terminalOf({ stdin, stderr }: { stdin?: Keyboard; stderr: Sink }): Terminal | undefined {
  return stdin?.isTTY === true && stderr.isTTY === true ? { keyboard: stdin, screen: stderr } : undefined;
}

/**
 * Asks a question, and reads a line that doesn't show.
 * @throws `interrupted` for Ctrl-C; `password-missing` when the input ends, or the answer is empty.
 */
export async function askSecret({ keyboard, screen }: Terminal, question: string): Promise<Buffer> {
  screen.write(`${question}: `);
  const nothing = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: keyboard, output: nothing, terminal: true, historySize: 0 });
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => reject(new HoldfastError('interrupted', 'interrupted')));
      lines.once('close', () => reject(new HoldfastError('password-missing', 'no password was entered')));
    });
    if (answer === '') throw new HoldfastError('password-missing', 'no password was entered');
    return Buffer.from(answer);
  } finally {
    lines.close();
    screen.write('\n');
  }
}

/** Asks for a new secret, twice. @throws `usage` when the two differ. */
export async function askNewSecret(terminal: Terminal, question: string): Promise<Buffer> {
  const first = await askSecret(terminal, question);
  const second = await askSecret(terminal, 'the same again');
  if (!first.equals(second)) throw new HoldfastError('usage', 'the two passwords are not the same', { remedy: 'run the command again' });
  return first;
}
