/** Walks all trees of some snapshots, every tree once, however many snapshots and directories share it. */
import type { Lane } from '../lanes/pool.ts';
import type { CheckCall, TreesChecked } from './check-messages.ts';
import type { Damage } from './damage.ts';

/** Trees in one message, at most. */
const batchTrees = 128;
/** Messages on their way to a lane, so that it never waits for the next. */
const callsPerLane = 2;

/**
 * Hands trees out to the lanes until there are none left. Trees wait on a stack, not on the call stack: no depth is too deep.
 * @param roots entries of the index, each once, already marked as visited. Emptied.
 * @returns how many trees there were.
 */
export async function walkTrees(lanes: readonly Lane[], roots: number[], onDamages: (damages: readonly Damage[]) => void): Promise<number> {
  const waiting = roots;
  let underWay = 0;
  let trees = 0;
  let failed = false;
  let idle: (() => void)[] = [];
  const wake = () => {
    for (const resolve of idle.splice(0)) resolve();
  };

  async function feed(lane: Lane): Promise<void> {
    while (!failed) {
      if (waiting.length === 0) {
        if (underWay === 0) return wake();
        await new Promise<void>((resolve) => idle.push(resolve));
        continue;
      }
      const count = Math.min(batchTrees, Math.ceil(waiting.length / (lanes.length * callsPerLane)));
      const entries = Uint32Array.from(waiting.splice(waiting.length - count, count));
      underWay++;
      try {
        const { subtrees, damages } = await lane.call<TreesChecked>({ call: 'trees', entries } satisfies CheckCall);
        trees += count;
        for (const entry of subtrees) waiting.push(entry);
        onDamages(damages);
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        underWay--;
        wake();
      }
    }
  }

  idle = [];
  const results = await Promise.allSettled(lanes.flatMap((lane) => Array.from({ length: callsPerLane }, () => feed(lane))));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return trees;
}
