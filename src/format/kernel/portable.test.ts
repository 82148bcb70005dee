import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { bindExecutable } from './executable.ts';

const suites = ['sha256', 'aes-ctr', 'poly1305', 'zstd'].map((kernel) => join(import.meta.dirname, `${kernel}.test.ts`));

test('this Node exports what the native kernels call', () => {
  assert.ok(
    bindExecutable(['void* SHA256(const void* data, size_t length, void* digest)', 'void* EVP_aes_256_ctr()', 'void* ZSTD_createDCtx()']),
  );
  assert.equal(bindExecutable(['int no_such_function_anywhere()']), undefined);
});

test("the portable kernels pass the native ones' tests", () => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ['--test', ...suites, join(import.meta.dirname, '..', 'seal.test.ts')], {
    env: { ...env, HOLDFAST_PORTABLE_KERNELS: '1' },
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /pass \d\d/);
});
