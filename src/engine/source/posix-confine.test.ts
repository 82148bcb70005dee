import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../../test/peers.ts';

const program = `
import { writeFileSync, readFileSync, openSync, rmSync } from 'node:fs';
import { confineWrites } from ${JSON.stringify(join(import.meta.dirname, 'posix-confine.ts'))};
const folder = process.argv[1];
const result = confineWrites(folder + '/mine');
const refusal = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
console.log(JSON.stringify([
  result,
  refusal(() => writeFileSync(folder + '/mine/made', 'x')),
  refusal(() => rmSync(folder + '/mine/made')),
  refusal(() => readFileSync(folder + '/others/there')),
  refusal(() => writeFileSync(folder + '/others/made', 'x')),
  refusal(() => openSync(folder + '/others/there', 'r+')),
  refusal(() => rmSync(folder + '/others/there')),
]));
`;

test('a confined process reads everything, and writes below its directory only', (t) => {
  const folder = scratch(t);
  for (const name of ['mine', 'others']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'others', 'there'), 'x');
  const { stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program, folder], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  const [result, ...refusals] = JSON.parse(stdout) as [number, ...string[]];
  if (result < 0) {
    t.skip(`this kernel has no Landlock (${result})`);
    return;
  }
  assert.deepEqual(refusals, ['done', 'done', 'done', 'EACCES', 'EACCES', 'EACCES']);
  assert.ok(!existsSync(join(folder, 'others', 'made')));
});
