import type { DaemonConfiguration } from '../configuration/configuration.ts';
import type { JobSpec } from './job.ts';

/** The command lines of a job, carried out one after the other while they succeed: what a person would type. */
export function commandLines(spec: JobSpec, { limits, jobs }: Pick<DaemonConfiguration, 'limits' | 'jobs'>): string[][] {
  const common = [
    '--json',
    ...limit('--limit-upload', limits.uploadBytesPerSecond, jobs),
    ...limit('--limit-download', limits.downloadBytesPerSecond, jobs),
  ];
  const at = (repository: string) => [...common, '--repository', repository, '--retry-lock', '30m'];
  switch (spec.kind) {
    case 'backup':
      return [
        [
          'backup',
          ...at(spec.repository),
          '--class',
          spec.class,
          ...(spec.tags ?? []).flatMap((tag) => ['--tag', tag]),
          '--',
          ...(spec.volumes ?? []),
        ],
      ];
    case 'forget':
      // Apart, and whether or not something was forgotten: after a prune that failed, another attempt has nothing to forget.
      return [
        ['forget', ...at(spec.repository)],
        ['prune', ...at(spec.repository)],
      ];
    case 'check':
      return [['check', ...at(spec.repository), `--read-data=${spec.part}/${spec.parts}`]];
    case 'copy':
      return [['copy', ...common, '--retry-lock', '30m', '--from', spec.from, '--to', spec.to]];
    case 'drill':
      return [['drill', ...at(spec.repository), '--', ...(spec.volumes ?? [])]];
    case 'usage':
      return [['volumes', ...common]];
  }
}

/** Evenly shared by the jobs that may run at a time. */
const limit = (option: string, bytesPerSecond: number | undefined, jobs: number): string[] =>
  bytesPerSecond === undefined ? [] : [option, String(Math.max(1, Math.floor(bytesPerSecond / jobs)))];
