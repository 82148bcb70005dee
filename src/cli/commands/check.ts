import { availableParallelism } from 'node:os';
import { checkRepository } from '../../engine/maintenance/check.ts';
import { parseReadData } from '../../engine/maintenance/read-data.ts';
import { exitCodes } from '../../model/errors.ts';
import type { Command } from '../command.ts';
import { parseLanes } from '../lane-options.ts';
import { findProject, laneEntry, withRepository } from '../session.ts';

type Options = { readData?: string | true; lanes?: string };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--read-data [part]', 'read packs and verify every blob: all, or a part (`5%`, `2/10`, `500M`)')
      .option('--lanes <n>', 'worker threads (default: one a core)');
    commander.addHelpText('after', '\nExit code 1 says that something is damaged; what it affects is listed.');
  },

  async run(context) {
    const { options, output } = context;
    const readData = options.readData === undefined ? undefined : parseReadData(options.readData === true ? '' : options.readData);
    const lanes = parseLanes(options.lanes) ?? availableParallelism();
    const configuration = await findProject(context);
    const startedMs = performance.now();
    return withRepository(context, configuration, 'shared', async ({ repository, storageUrl, label, signal }) => {
      output.report({ event: 'run-started', operation: 'check', run: '', volumes: [label] });
      const { errors } = await checkRepository({ repository, storageUrl, laneEntry, lanes, readData, report: output.report, signal });
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
  },
};
