import type { Command as CommanderCommand } from 'commander';
import type { GlobalOptions } from './global-options.ts';
import type { Output } from './output/output.ts';
import type { Sink } from './output/sink.ts';
import type { Keyboard } from './prompt.ts';

/** What a command is given. It takes everything from here, and nothing from `process`, so that it can be run in-process. */
export type CommandContext<Options = Record<string, unknown>> = {
  /** The words that are not options, in order, without the command's name. */
  operands: string[];
  /** The command's own options, as commander names them (`--dry-run` is `dryRun`). */
  options: Options;
  global: GlobalOptions;
  output: Output;
  /** Aborts at SIGINT, SIGTERM and, of commands that do not reload, SIGHUP; its reason is a HoldfastError with the code `interrupted`. */
  signal: AbortSignal;
  /**
   * Calls a listener at SIGHUP, at once if that was sent before; returns how to end that. Only for commands that reload, and where there are
   * signals.
   */
  onReload?: (listener: () => void) => () => void;
  /** Absolute; relative paths on the command line start here. `--directory` is applied already. */
  cwd: string;
  environment: NodeJS.ProcessEnv;
  /** Undefined where nobody can be asked. */
  stdin?: Keyboard;
  stdout: Sink;
  stderr: Sink;
  /** All commands of the program. */
  commands: readonly CommandEntry[];
};

/**
 * A command: one file in `commands/` that exports it as `command`. Failures are thrown as HoldfastError, and the frame shows them
 * and takes the exit code from them; other codes of `exitCodes` (a backup that could not read all) are returned.
 */
export type Command<Options = Record<string, unknown>> = {
  /** Declares operands, options and further help. Name, summary and global options are there already. */
  configure(command: CommanderCommand): void;
  /** Returns the exit code. */
  run(context: CommandContext<Options>): Promise<number>;
};

/** A row of the command table. A module is loaded only when its command is chosen, so that `--help` stays quick. */
export type CommandEntry = {
  name: string;
  summary: string;
  /** It can ask a daemon elsewhere: takes `--server`. */
  asksDaemon?: true;
  /** SIGHUP asks it to read its configuration anew, from its very beginning on, and never interrupts it. */
  reloads?: true;
  load(): Promise<{ command: Command }>;
};
