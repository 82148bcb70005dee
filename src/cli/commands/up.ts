import type { Command } from '../command.ts';

export const command: Command = {
  configure(commander) {
    commander.addHelpText(
      'after',
      '\nRuns until it is told to stop: does what holdfast.yaml schedules, and says what is not as promised. Without a holdfast.yaml, it writes one\nfor what it finds here, as `holdfast init` does. Reads it anew at SIGHUP and when it changes.',
    );
  },

  async run(context) {
    const { runDaemon } = await import('../run-daemon.ts');
    return runDaemon(context);
  },
};
