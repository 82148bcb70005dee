import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program to run; `environment` is added to the bench's own. */
export type Command = { argv: readonly string[]; directory: string; environment?: Readonly<Record<string, string>> };

export type Measurement = {
  /** From before the program is started until it has ended. */
  wallSeconds: number;
  /** User and system time of the program and of all its children. */
  cpuSeconds: number;
  /** The largest resident set of any one process among the program and its children. */
  peakMemoryBytes: number;
  exitCode: number;
  /** The last that the program wrote to its standard error, for messages about failures. */
  complaint: string;
};

const gnuTime = '/usr/bin/time';

/**
 * Runs a program and measures it as a whole. GNU time does it, because Node tells nothing about what a child has used.
 * @throws Error when GNU time is missing.
 */
export async function measure(command: Command): Promise<Measurement> {
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  try {
    const figures = join(scratch, 'time');
    const started = process.hrtime.bigint();
    const { exitCode, complaint } = await run(command, ['-q', '-o', figures, '-f', '%U %S %M', ...command.argv]);
    const wallSeconds = Number(process.hrtime.bigint() - started) / 1e9;
    return { wallSeconds, ...parseFigures(readFileSync(figures, 'utf8')), exitCode, complaint };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Reads a line of GNU time's `%U %S %M`: seconds, seconds, KiB. */
export function parseFigures(text: string): { cpuSeconds: number; peakMemoryBytes: number } {
  const line = text.trim().split('\n').at(-1) ?? '';
  const [user, system, kibibytes] = line.split(' ').map(Number);
  if (user === undefined || system === undefined || kibibytes === undefined || Number.isNaN(user + system + kibibytes)) {
    throw new Error(`GNU time said something else than expected: ${text}`);
  }
  return { cpuSeconds: user + system, peakMemoryBytes: kibibytes * 1024 };
}

function run(command: Command, args: readonly string[]): Promise<{ exitCode: number; complaint: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(gnuTime, args, {
      cwd: command.directory,
      env: { ...process.env, ...command.environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (part: Buffer) => {
      complaint = (complaint + part.toString('utf8')).slice(-2000);
    });
    child.on('error', () => reject(new Error(`${gnuTime} can't be run: install GNU time (Debian package \`time\`)`)));
    child.on('close', (code) => resolve({ exitCode: code ?? 128, complaint: complaint.trim() }));
  });
}
