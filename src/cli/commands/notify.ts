import type { NotificationConfiguration } from '../../control/configuration/configuration.ts';
import { deliver } from '../../control/notify/deliver.ts';
import { type Message, messageOf } from '../../control/notify/message.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { displayText } from '../output/text.ts';
import { requireProject } from '../project.ts';

type Options = { dryRun?: boolean };
type Context = CommandContext<Options>;

export const command: Command<Options> = {
  configure(commander) {
    commander
      .argument('<action>', 'test')
      .argument('[notification...]', 'names of `notifications` in holdfast.yaml; all when left out')
      .option('-n, --dry-run', 'send nothing; say what would be sent, and by what');
    commander.addHelpText(
      'after',
      '\nSends a message through each and says what came back; of healthchecks, a ping. Exit code 1 when one did not arrive. It runs here: what `holdfast up` has\nin its environment must be in this one too.',
    );
  },

  async run(context) {
    const [action, ...names] = context.operands;
    if (action !== 'test') {
      throw new HoldfastError('usage', `there is nothing to do with notifications that is called ${JSON.stringify(action)}`, {
        remedy: 'use `holdfast notify test`',
      });
    }
    const { notifications, project, file, directory } = await requireProject(context);
    const chosen = choose(notifications, names, file);
    const results = await Promise.all(chosen.map((notification) => tryOut(context, notification, { project, directory })));
    return results.every((arrived) => arrived) ? exitCodes.done : exitCodes.failed;
  },
};

function choose(notifications: readonly NotificationConfiguration[], names: readonly string[], file: string): NotificationConfiguration[] {
  const known = notifications.map(({ name }) => name);
  if (known.length === 0) {
    throw new HoldfastError('usage', `there are no \`notifications\` in ${file}`, {
      file,
      remedy: 'see docs/configuration.md for how to write one',
    });
  }
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new HoldfastError('usage', `there is no notification ${JSON.stringify(unknown)} in ${file}`, {
      file,
      remedy: `use one of ${known.join(', ')}`,
    });
  }
  return notifications.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** Shows how it went; returns whether it arrived. */
async function tryOut(
  { output, options, environment, signal }: Context,
  notification: NotificationConfiguration,
  { project, directory }: { project: string; directory: string },
): Promise<boolean> {
  const { name, destination } = notification;
  const { kind } = destination;
  const message = testMessage(project, name);
  if (options.dryRun) {
    output.document({ notification: name, kind, delivered: false, answer: '' });
    output.line(`${name} (${kind}): would send ${JSON.stringify(message.title)}`);
    return true;
  }
  try {
    const answer = await deliver(notification, message, { directory, environment, signal });
    output.document({ notification: name, kind, delivered: true, answer });
    output.line(`${name} (${kind}): ${displayText(answer)}`);
    return true;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof HoldfastError)) throw error;
    output.document({ notification: name, kind, delivered: false, answer: error.message });
    output.error(
      new HoldfastError(error.code, `${name} (${kind}): ${error.message}`, { remedy: `correct \`notifications.${name}\`, then try again` }),
    );
    return false;
  }
}

function testMessage(project: string, name: string): Message {
  const atMs = Date.now();
  const kind = 'a test of notifications';
  const message = `This is a test by \`holdfast notify test\`: messages of the project ${project} arrive by \`${name}\`.`;
  return messageOf(project, [{ id: `test ${atMs}`, atMs, event: 'test', subject: { kind: 'project' }, kind, message }], {
    id: `${project}-${name}-test-${atMs}`,
    atMs,
    dropped: 0,
  });
}
