/** Evidence straight from a repository, for commands that judge without a daemon. */
import { evidenceOf } from '../control/evidence/read-evidence.ts';
import type { SnapshotEvidence } from '../control/state/evidence-table.ts';
import { identityFromTags, type StoredSnapshot } from '../model/snapshot.ts';

/** What snapshots tell about the volumes of a project; oldest first. @param repository its name in `holdfast.yaml`. */
export function evidenceOfSnapshots(snapshots: readonly StoredSnapshot[], repository: string, project: string): SnapshotEvidence[] {
  return snapshots
    .flatMap(({ id, time, parent, tags, summary, problems, downtimeMs, kinds, incompressibleBytes }) => {
      const line = {
        ...{ id, time, tags },
        ...identityFromTags(tags),
        ...(parent === undefined ? {} : { parent }),
        ...(summary === undefined ? {} : { summary }),
        ...(problems === undefined ? {} : { unreadable: problems }),
        ...(downtimeMs === undefined ? {} : { downtimeMs }),
        ...(kinds === undefined ? {} : { kinds }),
        ...(incompressibleBytes === undefined ? {} : { incompressibleBytes }),
      };
      const evidence = evidenceOf(line, repository);
      return evidence?.project === project ? [evidence] : [];
    })
    .sort((a, b) => a.timeMs - b.timeMs || (a.id < b.id ? -1 : 1));
}
