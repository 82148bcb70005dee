import { availableParallelism } from 'node:os';
import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { checkRepository } from '../../engine/maintenance/check.ts';
import { parseReadData, type ReadDataSelection } from '../../engine/maintenance/read-data.ts';
import { exitCodes } from '../../model/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { parseLanes } from '../lane-options.ts';
import { findProject, laneEntry, withRepository, withWarmLanes } from '../session.ts';

type Options = { readData?: string | true; lanes?: string };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--read-data [part]', 'read packs and verify every blob: all, or a part (`5%`, `2/10`, `500M`)')
      .option('--lanes <n>', 'worker threads (default: one a core)');
    commander.addHelpText('after', '\nExit code 1 says that something is damaged; what it affects is listed.');
  },

  async run(context) {
    const { options } = context;
    const readData = options.readData === undefined ? undefined : parseReadData(options.readData === true ? '' : options.readData);
    const lanes = parseLanes(options.lanes) ?? availableParallelism();
    return withWarmLanes('check', lanes, (warm) => checkAll(context, readData, lanes, warm));
  },
};

async function checkAll(
  context: CommandContext<Options>,
  readData: ReadDataSelection | undefined,
  lanes: number,
  warm: WarmLanes,
): Promise<number> {
  const { output } = context;
  const configuration = await findProject(context);
  const startedMs = performance.now();
  return withRepository(context, configuration, 'shared', async ({ repository, storageUrl, label, signal }) => {
    output.report({ event: 'run-started', operation: 'check', run: '', volumes: [label] });
    const { errors } = await checkRepository({
      repository,
      storageUrl,
      laneEntry,
      warmLanes: warm,
      lanes,
      readData,
      report: output.report,
      signal,
    });
    const exitCode = errors > 0 ? exitCodes.failed : exitCodes.done;
    output.report({
      event: 'run-finished',
      operation: 'check',
      run: '',
      durationMs: Math.round(performance.now() - startedMs),
      exitCode,
    });
    return exitCode;
  });
}
