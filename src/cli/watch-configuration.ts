import type { Configuration } from '../control/configuration/configuration.ts';
import { writeCopyInEffect } from '../control/configuration/copy-in-effect.ts';
import { readConfiguration } from '../control/configuration/load.ts';
import type { Daemon } from '../control/daemon.ts';
import { HoldfastError } from '../model/errors.ts';
import type { CommandContext } from './command.ts';
import { fileSignature } from './file-signature.ts';

const lookEveryMs = 3_000;

export type InEffect = {
  /** Of its file, from before it was read: a change since then counts. */
  signature: string;
  /** What jobs read; a configuration counts when it is there. */
  copy: string | undefined;
};

/**
 * Reads the configuration anew at SIGHUP, and when its file is another one than before. A bad one changes nothing, and is told of once.
 * Returns how to end that; then nothing is under way any more.
 */
export function watchConfiguration(
  daemon: Pick<Daemon, 'configuration' | 'configure' | 'refuse'>,
  { signature, copy }: InEffect,
  onReload: CommandContext['onReload'],
): () => Promise<void> {
  const { file } = daemon.configuration();
  let seen = signature;
  let last: Promise<void> = Promise.resolve();
  let isOver = false;
  const reload = () => {
    if (isOver) return;
    // One after the other, so that the newest stays.
    last = last.then(async () => {
      try {
        const { configuration, text } = await readConfiguration(file);
        const next = sameProject(configuration, daemon.configuration());
        if (copy !== undefined) await writeCopyInEffect(copy, text, file);
        daemon.configure(next);
      } catch (error) {
        daemon.refuse(`${messageOf(error)}; what was in effect before stays`);
      }
    });
  };
  const look = async () => {
    const now = await fileSignature(file);
    if (now === seen) return;
    seen = now;
    reload();
  };
  void look();
  const timer = setInterval(look, lookEveryMs);
  const ignore = onReload?.(reload);
  return async () => {
    isOver = true;
    clearInterval(timer);
    ignore?.();
    await last;
  };
}

/** What is known of a project, and where that is kept, goes by its name. */
function sameProject(next: Configuration, before: Configuration): Configuration {
  if (next.project === before.project) return next;
  throw new HoldfastError('configuration', `the project is ${next.project} now, and was ${before.project}`, {
    file: next.file,
    remedy: 'restart `holdfast up` for the other project',
  });
}

const messageOf = (error: unknown): string =>
  error instanceof HoldfastError ? `${error.message} (${error.remedy})` : error instanceof Error ? error.message : String(error);
