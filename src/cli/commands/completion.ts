import { Command as CommanderCommand } from 'commander';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Command, CommandEntry } from '../command.ts';
import { globalOptions } from '../global-options.ts';

/** What can be completed: commands with their summaries and long options. File names are left to the shell. */
type Words = { commands: { name: string; summary: string; options: string[] }[]; options: string[] };

const longOption = (flags: string): string => /--[a-z][a-z-]*/.exec(flags)?.[0] ?? '';

async function collectWords(entries: readonly CommandEntry[]): Promise<Words> {
  const commands = await Promise.all(
    entries.map(async ({ name, summary, load }) => {
      const commander = new CommanderCommand(name);
      (await load()).command.configure(commander);
      return { name, summary, options: commander.options.map(({ flags }) => longOption(flags)).filter((flag) => flag !== '') };
    }),
  );
  return { commands, options: [...globalOptions.map(({ flags }) => longOption(flags)), '--help'] };
}

/** Shell code that finds the command among the words typed so far. */
const bash = ({ commands, options }: Words): string => `# bash completion for holdfast; load it with: source <(holdfast completion bash)
_holdfast() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" options="${options.join(' ')}" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      ${commands.map(({ name }) => name).join('|')}) command="$word"; break ;;
    esac
  done
  case "$command" in
    "") [[ "$current" == -* ]] || { COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')}" -- "$current")); return; } ;;
${commands
  .filter((command) => command.options.length > 0)
  .map((command) => `    ${command.name}) options="${command.options.join(' ')} $options" ;;`)
  .join('\n')}
  esac
  [[ "$current" == -* ]] && COMPREPLY=($(compgen -W "$options" -- "$current"))
}
complete -o default -F _holdfast holdfast
`;

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const zsh = ({ commands, options }: Words): string => `#compdef holdfast
# zsh completion for holdfast; load it with: source <(holdfast completion zsh)
_holdfast() {
  local command="" word
  local -a names=(${commands.map(({ name, summary }) => quoted(`${name}:${summary}`)).join(' ')})
  local -a options=(${options.join(' ')})
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in
      ${commands.map(({ name }) => name).join('|')}) command="$word"; break ;;
    esac
  done
  case "$command" in
    "") [[ "$PREFIX" == -* ]] || { _describe command names; return; } ;;
${commands
  .filter((command) => command.options.length > 0)
  .map((command) => `    ${command.name}) options=(${command.options.join(' ')} $options) ;;`)
  .join('\n')}
  esac
  if [[ "$PREFIX" == -* ]]; then compadd -- $options; else _files; fi
}
compdef _holdfast holdfast
`;

const fish = ({ commands, options }: Words): string =>
  [
    '# fish completion for holdfast; load it with: holdfast completion fish | source',
    ...commands.map(({ name, summary }) => `complete -c holdfast -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`),
    ...options.map((option) => `complete -c holdfast -l ${option.slice(2)}`),
    ...commands.flatMap(({ name, options: own }) =>
      own.map((option) => `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
    ),
    '',
  ].join('\n');

const shells: Record<string, (words: Words) => string> = { bash, zsh, fish };

/** Prints a script, made from the command table; needs neither a configuration nor a repository. */
export const command: Command = {
  configure(commander) {
    commander.argument('<shell>', `one of ${Object.keys(shells).join(', ')}`);
    commander.addHelpText('after', '\nFor bash: source <(holdfast completion bash)');
  },
  async run({ operands, commands, output }) {
    const shell = operands[0] ?? '';
    const script = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
    if (script === undefined) {
      throw new HoldfastError('usage', `there is no completion for the shell ${shell}`, {
        remedy: `name one of ${Object.keys(shells).join(', ')}`,
      });
    }
    const text = script(await collectWords(commands));
    output.document({ shell, script: text });
    output.line(text.trimEnd());
    return exitCodes.done;
  },
};
