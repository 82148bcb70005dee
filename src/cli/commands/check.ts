import type { WarmLanes } from '../../engine/lanes/pool.ts';
import { checkRepository } from '../../engine/maintenance/check.ts';
import { parseReadData, type ReadDataSelection } from '../../engine/maintenance/read-data.ts';
import { exitCodes } from '../../model/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { configureLanes, type LaneBudget, type LaneOptions, parseLanes } from '../lane-options.ts';
import { findProject } from '../project.ts';
import { laneEntry, withRepository, withWarmLanes } from '../session.ts';

type Options = LaneOptions & { readData?: string | true; lock: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--read-data [part]', 'read packs and verify every blob: all, or a part (`5%`, `2/10`, `500M`)')
      .option('--no-lock', 'write no lock: for a repository that cannot be written, while nobody prunes it');
    configureLanes(commander);
    commander.addHelpText('after', '\nExit code 1 says that something is damaged; what it affects is listed.');
  },

  async run(context) {
    const { options } = context;
    const readData = options.readData === undefined ? undefined : parseReadData(options.readData === true ? '' : options.readData);
    const budget = parseLanes(options);
    return withWarmLanes('check', budget.lanes, (warm) => checkAll(context, readData, budget, warm));
  },
};

async function checkAll(
  context: CommandContext<Options>,
  readData: ReadDataSelection | undefined,
  { lanes, memoryBytes }: LaneBudget,
  warm: WarmLanes,
): Promise<number> {
  const { output } = context;
  const configuration = await findProject(context);
  const startedMs = performance.now();
  return withRepository(
    context,
    configuration,
    context.options.lock ? 'shared' : 'none',
    async ({ repository, address, label, signal }) => {
      output.report({ event: 'run-started', operation: 'check', run: '', volumes: [label] });
      const { errors } = await checkRepository({
        repository,
        address,
        laneEntry,
        warmLanes: warm,
        lanes,
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
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
    },
    // What an earlier run has cached says nothing of what the storage holds.
    { freshCache: true, listsFirst: ['snapshots', 'index'] },
  );
}
