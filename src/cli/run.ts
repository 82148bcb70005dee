import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Command as CommanderCommand, CommanderError } from 'commander';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { Command, CommandContext, CommandEntry } from './command.ts';
import { commandTable } from './command-table.ts';
import { type GlobalOptions, globalOptions } from './global-options.ts';
import type { Output } from './output/output.ts';
import type { Sink } from './output/sink.ts';
import type { Keyboard } from './prompt.ts';
import { packageVersion } from './version.ts';

/** What a run of the program takes from its process. */
export type CliEnvironment = {
  /** Where secrets can be asked for. */
  stdin?: Keyboard;
  stdout: Sink;
  stderr: Sink;
  environment: NodeJS.ProcessEnv;
  /** Absolute. */
  cwd: string;
  signal: AbortSignal;
  /** Told which command it is, before that is loaded. */
  onCommand?(entry: CommandEntry): void;
  /** As in the context of commands. */
  onReload?: NonNullable<CommandContext['onReload']>;
  /** Defaults to all commands of this version. */
  commands?: readonly CommandEntry[];
};

/**
 * Runs one command line (without node and script) and returns its exit code, of `exitCodes`. Never throws: whatever goes wrong is
 * shown on stderr, as text in three parts or, with `--json`, as one line `{"event":"error",...}`, so that stdout holds results only.
 */
export async function run(argv: readonly string[], environment: CliEnvironment): Promise<number> {
  let exitCode: number = exitCodes.done;
  let output: Output | undefined;
  const program = createProgram(environment, async (command, commander) => {
    const global = program.opts<GlobalOptions>();
    output = await outputFor(environment, global);
    requireServerTaken(commander.name(), environment.commands ?? commandTable, global);
    const context: CommandContext = {
      operands: commander.args,
      options: commander.opts(),
      global,
      output,
      signal: environment.signal,
      ...(environment.onReload === undefined ? {} : { onReload: environment.onReload }),
      cwd: resolve(environment.cwd, global.directory ?? '.'),
      environment: environment.environment,
      ...(environment.stdin === undefined ? {} : { stdin: environment.stdin }),
      stdout: environment.stdout,
      stderr: environment.stderr,
      commands: environment.commands ?? commandTable,
    };
    // What a daemon reads by is ended at any time, and nobody sees its warnings: the daemon itself looks.
    if (environment.environment.HOLDFAST_READS === undefined) await (await import('./undo-cuts.ts')).undoInterruptedCuts(context);
    exitCode = await command.run(context);
  });
  const fail = async (error: unknown): Promise<void> => {
    output ??= await outputFor(environment, program.opts<GlobalOptions>());
    output.error(error);
    exitCode = error instanceof HoldfastError ? error.exitCode : exitCodes.failed;
  };
  try {
    await parse(program, withHelpOption(argv, environment.commands ?? commandTable));
    const lost = await lostOutput(environment.signal);
    if (lost !== undefined) await fail(lost);
  } catch (thrown) {
    await fail(thrown instanceof CommanderError ? usageError(thrown, program) : orInterrupted(thrown, environment.signal));
  }
  output?.close();
  return exitCode;
}

/** Who names a daemon elsewhere does not mean this host. */
function requireServerTaken(name: string, commands: readonly CommandEntry[], { server }: GlobalOptions): void {
  if (server === undefined || commands.find((entry) => entry.name === name)?.asksDaemon === true) return;
  const asking = commands.filter(({ asksDaemon }) => asksDaemon === true).map((entry) => `\`${entry.name}\``);
  throw new HoldfastError('usage', `\`${name}\` asks no daemon: --server is for ${asking.join(', ')}`, {
    remedy: 'leave it out to work here; `holdfast jobs start` has the daemon do something',
  });
}

/** Help and the version, which commander prints and throws, are no failures. */
async function parse(program: CommanderCommand, argv: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError) || thrown.exitCode !== 0) throw thrown;
  }
}

/** That what a command printed last cannot be written is known a moment after it has ended. */
async function lostOutput(signal: AbortSignal): Promise<HoldfastError | undefined> {
  await setImmediate();
  return signal.aborted && isLostOutput(signal.reason) ? signal.reason : undefined;
}

const isLostOutput = (reason: unknown): reason is HoldfastError => reason instanceof HoldfastError && reason.code === 'output-lost';

/** Loaded only now, so that `--help` stays quick. */
async function outputFor(environment: CliEnvironment, { json, quiet, verbose, color }: GlobalOptions): Promise<Output> {
  const { createOutput } = await import('./output/create-output.ts');
  return createOutput({ ...environment, json, quiet, verbose, color });
}

/** Commander's own `help NAME` would show a command whose module is not loaded, and `bakup --help` says nothing of the mistake. */
function withHelpOption(argv: readonly string[], commands: readonly CommandEntry[]): string[] {
  if (argv[0] !== 'help') return [...argv];
  const [, name] = argv;
  return name === undefined || commands.some((entry) => entry.name === name) ? [...argv.slice(1), '--help'] : [name];
}

type Execute = (command: Command, commander: CommanderCommand) => Promise<void>;

function createProgram(environment: CliEnvironment, execute: Execute): CommanderCommand {
  const program = new CommanderCommand('holdfast');
  program
    .description('Backs up, restores and checks container volumes.')
    .usage('[options] COMMAND [...]')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .addHelpText('after', '\nRun `holdfast COMMAND --help` for the options of a command.')
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(environment.stdout.columns ?? 100, 140) })
    .configureOutput({
      writeOut: (text) => void environment.stdout.write(text),
      // Errors are thrown (exitOverride) and shown by `run` in the form that all errors have.
      writeErr: () => undefined,
    })
    .exitOverride();
  for (const { flags, description } of globalOptions) program.option(flags, description);

  const loaded = new Map<string, Command>();
  for (const entry of environment.commands ?? commandTable) {
    const subcommand = program.command(entry.name).description(entry.summary);
    subcommand.action(() => execute(loaded.get(entry.name) as Command, subcommand));
  }
  program.hook('preSubcommand', async (_program, subcommand) => {
    const entry = (environment.commands ?? commandTable).find(({ name }) => name === subcommand.name()) as CommandEntry;
    environment.onCommand?.(entry);
    const { command } = await entry.load();
    command.configure(subcommand);
    setNegatableDefaults(subcommand);
    loaded.set(entry.name, command);
  });
  return program;
}

/** `--no-lock` means that `lock` is true without it. Commander sees to that before it calls hooks, where our options come too late. */
function setNegatableDefaults(command: CommanderCommand): void {
  for (const option of command.options) {
    const name = option.attributeName();
    if (option.negate && command.getOptionValue(name) === undefined) command.setOptionValueWithSource(name, true, 'default');
  }
}

/** Commander's complaint as an error of the catalogue: what is wrong, and what was probably meant. */
function usageError(error: CommanderError, program: CommanderCommand): HoldfastError {
  if (error.code === 'commander.help') return new HoldfastError('usage', 'no command was given', { remedy: 'run `holdfast --help`' });
  const [, message, suggestion] = /^(?:error: )?(.*?)(?:\n\(Did you mean (.*)\?\))?$/s.exec(error.message) as unknown as string[];
  const command = program.args[0];
  const known = error.code !== 'commander.unknownCommand' && program.commands.some((candidate) => candidate.name() === command);
  const help = `run \`holdfast ${known ? `${command} ` : ''}--help\``;
  const remedy = suggestion === undefined ? help : `did you mean \`${suggestion}\`? Otherwise ${help}`;
  return new HoldfastError('usage', message ?? error.message, { remedy });
}

/** Libraries answer an aborted signal with errors of their own; to the user they all are the interruption, or that the output is lost. */
function orInterrupted(thrown: unknown, { aborted, reason }: AbortSignal): unknown {
  if (!aborted) return thrown;
  if (thrown instanceof HoldfastError) return thrown.code === 'interrupted' && isLostOutput(reason) ? reason : thrown;
  const byAbort = thrown === reason || (thrown instanceof Error && (thrown.name === 'AbortError' || thrown.cause === reason));
  if (!byAbort) return thrown;
  return isLostOutput(reason) ? reason : new HoldfastError('interrupted', 'interrupted', { cause: thrown });
}
