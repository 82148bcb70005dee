/** The command line, run in this process: quicker than `programs.ts`, for tests of commands. */
import { run } from '../src/cli/run.ts';

export type Said = { exit: number; stdout: string; stderr: string };

/** Runs command lines in a folder, with an empty environment. */
export const commandLine =
  (cwd: string) =>
  async (...argv: string[]): Promise<Said> => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(argv, {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      environment: {},
      cwd,
      signal: new AbortController().signal,
    });
    return { exit, stdout, stderr };
  };
