import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, constants as fileConstants, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as posix from './posix-constants.ts';
import { callNumberTable } from './posix-syscall.ts';

test('numbers of calls are those of the kernel headers, where they are installed', (t) => {
  const headers = ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm-generic/unistd.h'];
  if (!headers.every((header) => existsSync(header))) return t.skip('linux-libc-dev is not installed');
  for (const [column, header] of headers.entries()) {
    const lines = readFileSync(header, 'utf8').matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm);
    const published = new Map([...lines].map(([, name, number]) => [name, Number(number)]));
    const compared = Object.entries(callNumberTable).filter(([name]) => published.has(name));
    // Older headers lack the newest calls.
    assert.ok(compared.length >= 37, `${compared.length}`);
    for (const [name, numbers] of compared) assert.equal(numbers[column], published.get(name), `${name} in ${header}`);
  }
});

test('errors and flags are those that Node knows', () => {
  const known = { ...constants.errno, ...fileConstants } as Record<string, number>;
  let compared = 0;
  for (const [name, value] of Object.entries(posix)) {
    if (typeof value !== 'number' || known[name] === undefined || name === 'O_RDONLY') continue;
    assert.equal(value, known[name], name);
    compared++;
  }
  assert.ok(compared > 40, `${compared}`);
});

test('errors have names', () => {
  assert.equal(posix.errnoName(2), 'ENOENT');
  assert.equal(posix.errnoName(-2), 'ENOENT');
  assert.equal(posix.errnoName(-posix.EUCLEAN), 'EUCLEAN');
  assert.equal(posix.errnoName(-posix.EAGAIN), 'EAGAIN');
  assert.equal(posix.errnoName(-posix.EDQUOT), 'EDQUOT');
  assert.equal(posix.errnoName(-4711), 'errno 4711');
});

test('on another system, importing is harmless and the first use says what is missing', () => {
  const files = ['accounts', 'change', 'io', 'list', 'open', 'stat', 'xattr'].map((name) => join(import.meta.dirname, `posix-${name}.ts`));
  const program = `
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    for (const file of ${JSON.stringify(files)}) await import(file);
    const { openDirectoryRoot } = await import(${JSON.stringify(files[4])});
    const { userName } = await import(${JSON.stringify(files[0])});
    for (const use of [() => openDirectoryRoot('/'), () => userName(0)]) {
      try { use(); } catch (error) { console.log(error.name, error.code); }
    }`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(printed, 'HoldfastError unsupported\nHoldfastError unsupported\n');
});
