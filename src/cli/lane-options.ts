/** Options that say how much of the machine a command may take. */
import { availableParallelism } from 'node:os';
import type { Command as CommanderCommand } from 'commander';
import { HoldfastError } from '../model/errors.ts';
import { parseSize } from '../model/quantities.ts';

const mostLanes = 64;
const mebibyte = 1024 * 1024;
/** What the process takes beside its lanes, and what a lane at work takes (docs/architecture.md#memory). */
const processBytes = 110 * mebibyte;
const laneBytes = 40 * mebibyte;

export type LaneOptions = { lanes?: string; memory?: string };

/** How many threads, and the memory that they may take together; undefined for what they need. */
export type LaneBudget = { lanes: number; memoryBytes: number | undefined };

export function configureLanes(commander: CommanderCommand): void {
  commander
    .option('--lanes <n>', 'worker threads (default: one a core)')
    .option('--memory <size>', 'take about this much memory at most (`300Mi`): fewer lanes where it would not do');
}

/** The values of `--lanes` and `--memory`. @throws `usage`. */
export function parseLanes({ lanes, memory }: LaneOptions): LaneBudget {
  const wanted = lanes === undefined ? Math.min(availableParallelism(), mostLanes) : Number(lanes);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > mostLanes) {
    throw new HoldfastError('usage', `--lanes takes a whole number from 1 to ${mostLanes}, not ${JSON.stringify(lanes)}`);
  }
  if (memory === undefined) return { lanes: wanted, memoryBytes: undefined };
  const budgetBytes = parseSize(memory);
  if (budgetBytes === undefined || budgetBytes === 0) {
    throw new HoldfastError('usage', `--memory takes a size, not ${JSON.stringify(memory)}`, { remedy: 'for example: --memory 300Mi' });
  }
  const memoryBytes = Math.max(laneBytes, budgetBytes - processBytes);
  return { lanes: Math.min(wanted, Math.floor(memoryBytes / laneBytes)), memoryBytes };
}
