/** Options that name the repository that something is taken from. */
import type { Command as CommanderCommand } from 'commander';
import type { OtherRepository } from './session.ts';

export type FromOptions = { from?: string; fromPasswordFile?: string; fromPasswordCommand?: string };

export function configureFrom(commander: CommanderCommand): void {
  commander
    .option('--from <url|name>', 'the repository to take from; also HOLDFAST_FROM_REPOSITORY, RESTIC_FROM_REPOSITORY')
    .option('--from-password-file <file>', 'read its password from this file')
    .option('--from-password-command <command>', 'run this to get its password');
}

export const sourceOf = ({ from, fromPasswordFile, fromPasswordCommand }: FromOptions): OtherRepository => ({
  named: from,
  passwordFile: fromPasswordFile,
  passwordCommand: fromPasswordCommand,
});
