/** What a careful operator would choose, as it would be written in the file. Schema, resolution and documentation take it from here. */
export const defaults = {
  volume: { criticality: 'critical', cut: 'auto', sensitive: false, excludeCaches: false, oneFileSystem: true },
  repository: { cache: true },
  repositories: { local: { url: './holdfast-repository' } },
  passwordFile: './holdfast.key',
  hookTimeout: '5m',
  /** `to` is the first repository. */
  schedules: { hourly: { cron: '0 * * * *' } },
  retention: { last: 1, hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 0, manual: '90d' },
  brake: { enabled: true, shrink: 50, churn: 90, unreadable: 0, torn: true },
  objectives: { rpo: '1h', rto: '4h' },
  drills: { enabled: true, cron: '0 4 * * 0' },
} as const;
