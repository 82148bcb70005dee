/** What a careful operator would choose, as it would be written in the file. Schema, resolution and documentation take it from here. */
export const defaults = {
  volume: { criticality: 'critical', cut: 'auto', sensitive: false, excludeCaches: false, oneFileSystem: true },
  repository: { cache: true, maintenance: true },
  repositories: { local: { url: './holdfast-repository' } },
  passwordFile: './holdfast.key',
  hookTimeout: '5m',
  /** `to` is the first repository. */
  schedules: { hourly: { cron: '0 * * * *' } },
  retention: { last: 1, hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 0, manual: '90d' },
  brake: { enabled: true, shrink: 50, churn: 90, unreadable: 0, torn: true },
  objectives: { rpo: '1h', rto: '4h' },
  drills: { enabled: true, cron: '0 4 * * 0' },
  /** Minutes apart, so that they don't wait for one another. */
  maintenance: {
    forget: { enabled: true, cron: '17 3 * * *' },
    check: { enabled: true, cron: '42 5 * * *', reread: '30d' },
    usage: { enabled: true, every: '15m' },
  },
  job: { deadline: '12h', attempts: 3 },
  /** What waits with a higher number goes first. */
  priorities: { backup: 6, copy: 5, usage: 7, drill: 3, forget: 4, check: 2 },
  notification: {
    on: ['broken', 'at-risk', 'recovered', 'job-failed', 'configuration'],
    digest: '0 8 * * *',
    timeout: '15s',
    contentType: 'application/json',
    security: 'starttls',
    watch: 'daemon',
    every: '5m',
  },
  daemon: { listen: '127.0.0.1:7468', behindProxy: false, jobs: 2, history: '180d' },
} as const;
