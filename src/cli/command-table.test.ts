import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command as CommanderCommand } from 'commander';
import { commandTable } from './command-table.ts';
import { globalOptions } from './global-options.ts';

/** `-q, --quiet` is `-q` and `--quiet`. */
const names = (flags: string): string[] => flags.match(/(?<![a-z<-])--?[a-zA-Z][a-z-]*/g) ?? [];

const reserved = new Set([...globalOptions.flatMap(({ flags }) => names(flags)), '-h', '--help', '-V', '--version']);

for (const { name, load } of commandTable) {
  test(`${name} loads, and takes no option from the global ones`, async () => {
    const commander = new CommanderCommand(name);
    (await load()).command.configure(commander);
    for (const { flags } of commander.options) {
      for (const flag of names(flags)) assert.ok(!reserved.has(flag), `${flag} would never reach the command`);
    }
    assert.equal(commander.name(), name);
  });
}

test('the table has every command once', () => {
  assert.deepEqual(
    commandTable.map(({ name }) => name),
    [
      'init',
      'backup',
      'snapshots',
      'ls',
      'find',
      'diff',
      'dump',
      'stats',
      'restore',
      'drill',
      'export',
      'import',
      'guard',
      'migrate',
      'check',
      'forget',
      'prune',
      'repair',
      'copy',
      'key',
      'tag',
      'volumes',
      'status',
      'audit',
      'up',
      'notify',
      'jobs',
      'alerts',
      'token',
      'unlock',
      'completion',
    ],
  );
  assert.ok(reserved.has('-q') && reserved.has('--no-color') && reserved.has('--repository'));
});
