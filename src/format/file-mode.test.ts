import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goModeFromStat, nodeTypeFromStatMode, statModeFromGo } from './file-mode.ts';

test('modes are the numbers that restic writes', () => {
  // Type, st_mode, and what restic 0.19.1 stored for such a file.
  const cases = [
    ['file', 0o100644, 420],
    ['file', 0o104755, 8389101],
    ['file', 0o102755, 4194797],
    ['file', 0o100000, 0],
    ['dir', 0o040755, 2147484141],
    ['dir', 0o041777, 2148532735],
    ['symlink', 0o120777, 134218239],
    ['dev', 0o060660, 67109296],
    ['chardev', 0o020666, 69206454],
    ['fifo', 0o010644, 33554852],
    ['socket', 0o140755, 16777709],
    ['irregular', 0o000644, 524708],
  ] as const;
  for (const [type, statMode, goMode] of cases) {
    assert.equal(goModeFromStat(statMode), goMode, type);
    assert.equal(nodeTypeFromStatMode(statMode), type);
    assert.equal(statModeFromGo(goMode), statMode, type);
  }
});

test('every type with every bit survives', () => {
  for (const type of [0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000]) {
    for (let bits = 0; bits <= 0o7777; bits++) assert.equal(statModeFromGo(goModeFromStat(type + bits)), type + bits);
  }
});
