/** What repositories hold, seen by themselves where nobody else knows. */
import type { Configuration } from '../control/configuration/configuration.ts';
import type { AssessmentInputs } from '../control/objectives/assess.ts';
import { unseenOf } from '../control/objectives/unseen.ts';
import type { SnapshotEvidence } from '../control/state/evidence-table.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import type { CommandContext } from './command.ts';
import { displayText } from './output/text.ts';
import { evidenceOfSnapshots } from './repository-evidence.ts';
import { withRepository } from './session.ts';
import { systemClock } from './system-clock.ts';

/** Lists the snapshots of the repository that is named, or of all. What cannot be reached is a fact like any other. */
export async function lookIntoRepositories(
  context: CommandContext<unknown>,
  configuration: Configuration,
): Promise<Pick<AssessmentInputs, 'evidence' | 'facts'>> {
  const { global, output, signal } = context;
  const found: SnapshotEvidence[] = [];
  const facts = new Map<string, unknown>();
  for (const { name } of configuration.repositories) {
    if (global.repository !== undefined && global.repository !== name) continue;
    const warn = (file: string) => output.warning(`the snapshot file ${file} is damaged; run \`holdfast check\``);
    try {
      const snapshots = await withRepository(
        { ...context, global: { ...global, repository: name } },
        configuration,
        'none',
        ({ repository }) => listSnapshots(repository, warn),
      );
      for (const one of evidenceOfSnapshots(snapshots, name, configuration.project)) found.push(one);
      facts.set(`seen ${name}`, { atMs: systemClock.now().getTime() });
    } catch (error) {
      if (signal.aborted) throw error;
      const nowMs = systemClock.now().getTime();
      const unseen = unseenOf(error, nowMs, nowMs);
      facts.set(`unseen ${name}`, { ...unseen, message: displayText(unseen.message) });
    }
  }
  const byVolume = Map.groupBy(
    found.sort((a, b) => a.timeMs - b.timeMs || (a.id < b.id ? -1 : 1)),
    ({ volume }) => volume,
  );
  const get = <Value>(name: string) => facts.get(name) as Value | undefined;
  return { evidence: { list: (volume) => (volume === undefined ? found : (byVolume.get(volume) ?? [])) }, facts: { get } };
}
