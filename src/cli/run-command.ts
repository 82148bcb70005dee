/** Running another command of the program in this process, as if its words had been typed. */
import { Command as CommanderCommand } from 'commander';
import { HoldfastError } from '../model/errors.ts';
import type { EngineEvent } from '../model/events.ts';
import type { CommandContext } from './command.ts';

/**
 * Global options are those of this run. @param onEvent is told of every event of the engine as well.
 * @returns the exit code. @throws what the command throws.
 */
export async function runCommand(
  context: CommandContext<unknown>,
  name: string,
  words: readonly string[],
  onEvent: (event: EngineEvent) => void = () => undefined,
): Promise<number> {
  const entry = context.commands.find((candidate) => candidate.name === name);
  if (entry === undefined) throw new HoldfastError('unsupported', `this program has no command ${name}`);
  const { command } = await entry.load();
  const commander = new CommanderCommand(name).exitOverride();
  command.configure(commander);
  commander.action(() => undefined);
  commander.parse([...words], { from: 'user' });
  const { output } = context;
  const report = (event: EngineEvent) => {
    onEvent(event);
    output.report(event);
  };
  return command.run({ ...context, operands: commander.args, options: commander.opts(), output: { ...output, report } });
}
