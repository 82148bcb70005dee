/** Programs in containers that can be ended: engines end no program that they were asked to run, and one that nobody reads from waits for ever. */
import { randomUUID } from 'node:crypto';
import type { Containers } from '../../platform/containers.ts';

export const shell = '/bin/sh';
/** A variable of the environment that a program and all that it starts have. */
const markName = 'HOLDFAST_EXEC';
const endMs = 20_000;

export type MarkedProgram = {
  /** To be run instead of the command. Needs a shell in the container. */
  command: string[];
  /** Kills it and what it has started, as the same user. @returns whether they were looked for; what runs as somebody else goes on. */
  end(): Promise<boolean>;
};

/** @param user as whom it runs; default the image's. */
export function markProgram(containers: Containers, id: string, command: readonly string[], user?: string): MarkedProgram {
  const mark = `${markName}=${randomUUID()}`;
  const kill = `for p in /proc/[0-9]*; do grep -q ${mark} "$p/environ" 2>/dev/null && kill -9 "\${p#/proc/}" 2>/dev/null; done; command -v grep >/dev/null`;
  return {
    command: [shell, '-c', `export ${mark}; exec "$@"`, 'sh', ...command],
    end: () =>
      containers.exec(id, [shell, '-c', kill], { timeoutMs: endMs, ...(user === undefined ? {} : { user }) }).then(
        ({ exitCode }) => exitCode === 0,
        () => false,
      ),
  };
}
