import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Configuration } from '../../control/configuration/configuration.ts';
import { awaitHealth } from '../../control/restoring/start-again.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { parseDuration } from '../../model/quantities.ts';
import type { Command, CommandContext } from '../command.ts';
import { connectDocker } from '../docker-access.ts';
import { completedConfiguration } from '../labelled-project.ts';
import { requireProject, selectVolumes } from '../project.ts';
import { engineVolumeOf } from '../restore-targets.ts';
import { runCommand } from '../run-command.ts';

type Options = { volume: string[]; rollbackOnFailure?: boolean; healthTimeout?: string; dryRun?: boolean };
type Context = CommandContext<Options>;

/** As shells have it: no such program, and one that a signal has ended. */
const notFoundExit = 127;
const signalExit = 128;

const collect = (value: string, previous: string[]) => [...previous, value];

export const command: Command<Options> = {
  configure(commander) {
    commander
      .usage('[options] -- COMMAND...')
      .argument('<command...>', 'what to run once the guard snapshots are there')
      .option('--volume <name>', 'guard only this volume (repeatable; default: all of the project)', collect, [])
      .option('--rollback-on-failure', 'put the volumes back when the command fails, or what uses them is not healthy afterwards')
      .option('--health-timeout <duration>', 'how long each container may take to be healthy', '2m')
      .option('-n, --dry-run', 'take no snapshots and run nothing; say what would be done')
      .addHelpText(
        'after',
        '\nThe exit code is that of COMMAND (1 as well when it was not run, or its containers are not healthy). For example:\n  holdfast guard -- docker compose down -v\n  holdfast guard --rollback-on-failure -- docker compose up -d --pull always',
      );
  },

  async run(context) {
    const { operands, options, output } = context;
    const healthTimeoutMs = parseDuration(options.healthTimeout ?? '2m');
    if (healthTimeoutMs === undefined)
      throw new HoldfastError('usage', `--health-timeout takes a duration, not ${JSON.stringify(options.healthTimeout)}`);
    const configuration = await completedConfiguration(context, await requireProject(context));
    const volumes = (await selectVolumes(configuration, options.volume)).map(({ name }) => name);
    if (options.dryRun) {
      const exitCode = await runCommand(context, 'backup', ['--class', 'guard', '--dry-run', ...options.volume]);
      output.line(`would run: ${operands.join(' ')}`);
      output.document({ event: 'guarded', dryRun: true, command: operands, volumes });
      return exitCode;
    }
    const run = await takeGuards(context);
    const undo = `holdfast restore ${options.volume.join(' ')}${options.volume.length > 0 ? ' ' : ''}--at ${run} --delete`;
    output.line(`guard ${run}; to go back: ${undo}`);
    output.document({ event: 'guard', run, undo });
    const exitCode = await runGuarded(context, operands);
    const trouble = exitCode === exitCodes.done ? await troubleWith(context, configuration, volumes, healthTimeoutMs) : undefined;
    if (trouble !== undefined) output.warning(`the command succeeded, and ${trouble}`);
    const failed = exitCode !== exitCodes.done || trouble !== undefined;
    const rollback = failed && options.rollbackOnFailure === true;
    output.document({
      event: 'guarded',
      dryRun: false,
      command: operands,
      exitCode,
      ...(trouble === undefined ? {} : { trouble }),
      rollback,
    });
    if (rollback) await putBack(context, run, undo);
    else if (failed) output.warning(`the command failed; to go back: ${undo}`);
    return exitCode === exitCodes.done && failed ? exitCodes.failed : exitCode;
  },
};

/** @returns the run of the guard. @throws when anything is missing in it: nothing is run then. */
async function takeGuards(context: Context): Promise<string> {
  let run = '';
  const exitCode = await runCommand(context, 'backup', ['--class', 'guard', ...context.options.volume], (event) => {
    if (event.event === 'run-started') run = event.run;
  });
  if (exitCode === exitCodes.done) return run;
  throw new HoldfastError(
    'volume-unreadable',
    `the guard snapshots are not complete (exit code ${exitCode} of the backup): the command was not run`,
    {
      remedy: 'see the messages above, and correct what they name',
    },
  );
}

/** Runs the command on this terminal and waits for its end. Signals that this process gets are passed on. */
function runGuarded({ operands, cwd, environment, signal, stdin, output }: Context, [program = '', ...args] = operands): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env: environment, stdio: output.json ? ['inherit', 2, 'inherit'] : 'inherit' });
    const passOn = () => {
      const name = /\b(SIG[A-Z]+)\b/.exec((signal.reason as Error | undefined)?.message ?? '')?.[1] ?? 'SIGTERM';
      // A terminal sends Ctrl+C to all of its foreground processes: a second one means something else to many.
      if (name !== 'SIGINT' || stdin === undefined) child.kill(name as NodeJS.Signals);
    };
    signal.addEventListener('abort', passOn, { once: true });
    if (signal.aborted) passOn();
    const end = (exitCode: number) => {
      signal.removeEventListener('abort', passOn);
      resolve(exitCode);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      output.error(new HoldfastError('command-failed', `cannot run ${program}: ${error.message}`));
      end(error.code === 'ENOENT' ? notFoundExit : notFoundExit - 1);
    });
    child.once('exit', (code, killedBy) => end(code ?? signalExit + (killedBy === null ? 0 : constants.signals[killedBy])));
  });
}

/** What is wrong with the containers that use the volumes; undefined when nothing is, or there is no Engine. */
async function troubleWith(
  context: Context,
  configuration: Configuration,
  volumes: readonly string[],
  healthTimeoutMs: number,
): Promise<string | undefined> {
  if (context.options.rollbackOnFailure !== true) return undefined;
  const access = await connectDocker(context, 'if-there');
  if (access === undefined) return undefined;
  try {
    const inventory = await access.containers.inventory();
    const names = configuration.volumes
      .filter(({ name }) => volumes.includes(name))
      .map(({ name, source }) => engineVolumeOf(inventory, configuration.project, name, source));
    const users = inventory.containers.filter(
      ({ state, mounts }) => state !== 'exited' && state !== 'created' && mounts.some(({ from }) => names.includes(from)),
    );
    for (const { id, name } of users) {
      const state = await awaitHealth({ containers: access.containers, signal: context.signal }, id, healthTimeoutMs);
      if (state !== undefined) return `container ${name} ${state}`;
    }
    return undefined;
  } finally {
    await access.close();
  }
}

async function putBack(context: Context, run: string, undo: string): Promise<void> {
  const { output, options } = context;
  output.warning('the volumes are put back from the guard snapshots');
  // The signal that ended the command must not keep its damage.
  const untroubled = { ...context, signal: new AbortController().signal };
  try {
    const exitCode = await runCommand(untroubled, 'restore', [...options.volume, '--at', run, '--delete']);
    if (exitCode !== exitCodes.done) output.warning(`the volumes could not be put back completely (exit code ${exitCode}); try: ${undo}`);
  } catch (error) {
    output.error(error);
    output.warning(`the volumes could not be put back; try: ${undo}`);
  }
}
