/** What `holdfast up` is: the daemon of a project, its API, and what keeps watch beside it. */
import { join } from 'node:path';
import { type RunningServer, startServer } from '../api/server.ts';
import type { Configuration } from '../control/configuration/configuration.ts';
import { writeCopyInEffect } from '../control/configuration/copy-in-effect.ts';
import { belongsToOther } from '../control/configuration/find.ts';
import { readConfiguration } from '../control/configuration/load.ts';
import { createDaemon, type Daemon } from '../control/daemon.ts';
import { labelledFact, withLabelled } from '../control/discovery/labelled.ts';
import type { Log, Severity } from '../control/logging/log.ts';
import { tellEvents } from '../control/logging/tell-events.ts';
import { metricsOf, renderMetrics } from '../control/metrics/metrics.ts';
import { startNotifications } from '../control/notify/start-notifications.ts';
import { createFacts } from '../control/state/log-tables.ts';
import { openState } from '../control/state/state.ts';
import { exitCodes, HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';
import { daemonLog } from './daemon-log.ts';
import { copyInEffect, daemonFolder, takePlace } from './daemon-place.ts';
import { daemonProgram, optionsWithoutEffect } from './daemon-program.ts';
import { socketOfEngine } from './engine-endpoint.ts';
import { fileSignature } from './file-signature.ts';
import { freeListen } from './free-listen.ts';
import { keepLabelled } from './keep-labelled.ts';
import { formatCount, formatLocalTime } from './output/units.ts';
import { findProjectFile } from './project.ts';
import { runBeside } from './run-beside.ts';
import { systemClock } from './system-clock.ts';
import { onceAnHour } from './tell-failures.ts';
import { packageVersion } from './version.ts';
import { watchCompose } from './watch-compose.ts';
import { type InEffect, watchConfiguration } from './watch-configuration.ts';
import { watchCuts } from './watch-cuts.ts';
import { watchLabels } from './watch-labels.ts';

/** Runs the daemon of the project at hand until the signal aborts, and returns the exit code. @throws `daemon-running`, `configuration`. */
export async function runDaemon(context: CommandContext): Promise<number> {
  const { file, project } = await findOrMakeProject(context);
  const folder = daemonFolder({ file, project }, context.environment);
  const leave = takePlace(folder);
  try {
    const signature = await fileSignature(file);
    const { configuration, text } = await readConfiguration(file);
    const log = daemonLog(context, configuration);
    await serve(context, configuration, folder, log, { signature, copy: await keepCopy(log, folder, text, file) });
  } finally {
    leave();
  }
  return exitCodes.done;
}

/** What jobs read. Where it cannot be written they read the file itself: better that than no backups. */
async function keepCopy(log: Log, folder: string, text: string, file: string): Promise<string | undefined> {
  const copy = copyInEffect(folder);
  try {
    await writeCopyInEffect(copy, text, file);
    return copy;
  } catch (error) {
    say(log, `${messageOf(error)}; jobs read ${file} as it is when they begin`, 'warn');
    return undefined;
  }
}

async function serve(context: CommandContext, configuration: Configuration, folder: string, log: Log, inEffect: InEffect): Promise<void> {
  const state = openState(join(folder, 'state.sqlite'));
  if (state.replaced !== undefined)
    say(log, `the state was damaged; what is known is gathered anew, and the old file is ${state.replaced}`, 'warn');
  const onFailure = onceAnHour((error) => {
    const message = error instanceof Error ? error.message : String(error);
    say(log, `the state could not be written, or a part of the daemon failed; work goes on: ${message}`, 'error');
  });
  const daemon = createDaemon({
    version: packageVersion(),
    configuration: withLabelled(configuration, createFacts(state).get(labelledFact)),
    state,
    folder,
    clock: systemClock,
    program: daemonProgram(context, inEffect.copy ?? configuration.file, configuration.directory),
    onFailure,
  });
  // Before the first job, so that it counts.
  metricsOf(daemon);
  const stop = daemon.subscribe(tellEvents(log));
  const notifications = startNotifications(daemon, {
    state,
    clock: systemClock,
    environment: context.environment,
    complain: (error) => say(log, messageOf(error), 'error'),
  });
  const keeper = keepLabelled(daemon, configuration);
  const unwatch = watchConfiguration({ ...daemon, configure: keeper.configure }, inEffect, context.onReload);
  let server: RunningServer | undefined;
  try {
    const extras = [{ path: '/metrics', answer: () => renderMetrics(daemon) }];
    tellStart(log, daemon);
    for (const sentence of optionsWithoutEffect(context.global)) say(log, sentence, 'warn');
    await tellOwner(log, configuration.file);
    server = await startServer(daemon, {
      folder,
      onProblem: (message) => say(log, message, 'warn'),
      extras,
    });
    say(log, `the API listens at ${server.address}`);
    const watch = { daemon, environment: context.environment, onChange: (message: string) => say(log, message, 'warn'), onFailure };
    const onLabels = (message: string, severity: Severity) => say(log, message, severity);
    const labels = { daemon, keeper, findEngine: () => socketOfEngine(context), onChange: onLabels, onFailure };
    await runBeside(
      (signal) => daemon.run(signal, () => tellNext(log, daemon)),
      [
        (signal) => watchCompose(watch, signal),
        (signal) => watchLabels(labels, signal),
        (signal) => watchCuts({ ...context, signal }, onFailure),
      ],
      context.signal,
      onFailure,
    );
    say(log, 'stopped; what was running begins again with the next start');
  } finally {
    await server?.stop();
    await unwatch();
    await notifications.stop();
    stop();
    state.close();
  }
}

/** What a file names that is run, and who can change that. */
async function tellOwner(log: Log, file: string): Promise<void> {
  if (await belongsToOther(file).catch(() => false))
    say(log, `${file} belongs to another user, who can have commands run as the one that this runs as`, 'warn');
}

/** What is protected. */
function tellStart(log: Log, daemon: Daemon): void {
  const { project, file, volumes, repositories } = daemon.configuration();
  const of = `${formatCount(volumes.length, 'volume')}, ${formatCount(repositories.length, 'repository', 'repositories')}`;
  say(log, `Holdfast ${daemon.version} runs the project ${project}: ${of} (${file})`);
}

/** What comes next. */
function tellNext(log: Log, daemon: Daemon): void {
  const backups = daemon.upcoming().filter(({ spec }) => spec.kind === 'backup');
  for (const { task, dueMs } of backups.slice(0, mostTold)) say(log, `${task}: the next backup is due ${formatLocalTime(dueMs)}`);
  if (backups.length === 0) say(log, 'holdfast.yaml has no schedule of backups: none is made by itself', 'warn');
}

const mostTold = 10;
const say = (log: Log, body: string, severity: Severity = 'info') => log({ severity, eventName: 'holdfast.daemon', body, attributes: {} });

/** One line, with what to do about it. */
const messageOf = (error: unknown): string =>
  error instanceof HoldfastError ? `${error.message} (${error.remedy})` : error instanceof Error ? error.message : String(error);

/** Without a holdfast.yaml, one is written for what is found here, with a local repository. */
async function findOrMakeProject(context: CommandContext): Promise<Configuration> {
  const found = await findProjectFile(context);
  if (found !== undefined) return found;
  const { makeProject } = await import('./commands/init.ts');
  await makeProject({ ...context, operands: [], options: { volume: [] } }, await freeListen());
  context.output.note(
    '\nRead holdfast.yaml, and correct what was guessed: this daemon reads it anew when it changes. What it does with it from now on: backups, retention,\nchecks and drills, as written there; `holdfast status` says how things are.\n',
  );
  const made = await findProjectFile(context);
  if (made === undefined) throw new HoldfastError('configuration-missing', `there is no holdfast.yaml in ${context.cwd} or above`);
  return made;
}
