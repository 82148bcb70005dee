/** Holdfast as its users run it: the launcher at the root of the checkout, in a process of its own. */
import { join } from 'node:path';
import type { EngineEvent } from '../../src/model/events.ts';
import { say } from './narrate.ts';
import { runProgram } from './programs.ts';

const launcher = join(import.meta.dirname, '..', '..', 'holdfast');

/** A step of the demo went wrong; the message says how. */
export class DemoFailure extends Error {}

export type Finished<Line> = { lines: Line[]; seconds: number };

/** Runs one command and shows it, as {@link ask} does. */
export function holdfast(folder: string, args: readonly string[]): Promise<Finished<EngineEvent>> {
  say(`$ holdfast ${args.join(' ')}`);
  return ask(folder, args);
}

/**
 * Runs one command with `--json`.
 * @param Line what the lines of its output are.
 * @throws DemoFailure when its exit code is not 0.
 */
export async function ask<Line>(folder: string, args: readonly string[]): Promise<Finished<Line>> {
  const { exitCode, stdout, stderr, seconds } = await runProgram(launcher, [...args, '--json'], folder);
  if (exitCode !== 0)
    throw new DemoFailure(`holdfast ${args.join(' ')} ended with exit code ${exitCode}:\n${stderr}${stdout.slice(-2000)}`);
  const lines = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
  return { lines, seconds };
}

type EventOf<Name extends EngineEvent['event']> = Extract<EngineEvent, { event: Name }>;

/** The events of one kind. */
export function eventsOf<Name extends EngineEvent['event']>(lines: readonly EngineEvent[], name: Name): EventOf<Name>[] {
  return lines.filter((line): line is EventOf<Name> => line.event === name);
}
