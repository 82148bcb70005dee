import { sorted } from './assess-volume.ts';
import type { RepositoryAssessment } from './assessment.ts';
import { worst } from './assessment.ts';
import { type Damage, errorsOf } from './damage.ts';
import type { JobHistory } from './job-history.ts';
import { type Trouble, tellTrouble } from './trouble.ts';
import { tellUnseen, type Unseen } from './unseen.ts';

export type RepositoryInputs = {
  repository: string;
  nowMs: number;
  snapshots: number;
  history: JobHistory;
  damage: Damage | undefined;
  seenAtMs: number | undefined;
  /** Since its snapshots could not be listed. */
  unseen: Omit<Unseen, 'sinceMs'> | undefined;
  /** What the last job that failed said of it. */
  trouble: Trouble | undefined;
  /** A check is late when the last one was before. */
  checkDueMs: number | undefined;
  /** Copies into it that are late when the last one was before. */
  copies: readonly { from: string; dueMs: number }[];
};

/** An outage that lasts longer is none that passes by itself. */
const outageMs = 3_600_000;

export function assessRepository(inputs: RepositoryInputs): RepositoryAssessment {
  const { repository, snapshots, history, damage, seenAtMs } = inputs;
  const checks = history.checksOf(repository).filter((job) => job.state === 'succeeded' || errorsOf(job) > 0);
  const lastCheckMs = checks[0]?.endedMs;
  const reasons = sorted([...reachReasons(inputs), ...checkReasons(inputs, lastCheckMs), ...copyReasons(inputs)]);
  return {
    repository,
    condition: worst(reasons.map(({ condition }) => condition)),
    reasons,
    snapshots,
    seenAtMs,
    lastCheck: lastCheckMs === undefined ? undefined : { atMs: lastCheckMs, ok: damage === undefined },
    lastForgetMs: history.lastForgetMs(repository),
  };
}

function reachReasons({ unseen, trouble, seenAtMs, nowMs, repository }: RepositoryInputs): RepositoryAssessment['reasons'] {
  if (unseen === undefined)
    return trouble === undefined
      ? []
      : [
          {
            kind: trouble.code === 'storage-full' ? 'repository-full' : 'repository-unreachable',
            condition: nowMs - trouble.sinceMs > outageMs ? 'broken' : 'at-risk',
            ...tellTrouble(repository, trouble, nowMs),
          },
        ];
  const sinceMs = nowMs - (seenAtMs ?? Number.NEGATIVE_INFINITY);
  return [
    {
      kind: 'repository-unreachable',
      condition: sinceMs > outageMs ? 'broken' : 'at-risk',
      ...tellUnseen(repository, unseen, seenAtMs, nowMs),
    },
  ];
}

function checkReasons(
  { damage, checkDueMs, repository }: RepositoryInputs,
  lastCheckMs: number | undefined,
): RepositoryAssessment['reasons'] {
  const check = `holdfast check --repository ${repository}`;
  if (damage !== undefined) {
    const message = `the last check found ${damage.errors === 1 ? 'an error' : `${damage.errors} errors`}`;
    return [{ kind: 'check-failed', condition: 'broken', message, remedy: `${check} --read-data, then see \`holdfast repair\`` }];
  }
  if (checkDueMs === undefined || (lastCheckMs ?? Number.NEGATIVE_INFINITY) >= checkDueMs) return [];
  const message = lastCheckMs === undefined ? 'it was never checked' : 'its last check was longer ago than two were due';
  return [{ kind: 'check-late', condition: 'at-risk', message, remedy: check }];
}

const copyReasons = ({ copies, history, repository }: RepositoryInputs): RepositoryAssessment['reasons'] =>
  copies.flatMap(({ from, dueMs }) => {
    const lastMs = history.lastCopyMs(from, repository);
    if ((lastMs ?? Number.NEGATIVE_INFINITY) >= dueMs) return [];
    const message =
      lastMs === undefined ? `nothing was ever copied from ${from}` : `the last copy from ${from} was longer ago than two were due`;
    return [{ kind: 'copy-late', condition: 'at-risk', message, remedy: `holdfast copy --from ${from} --to ${repository}` }];
  });
