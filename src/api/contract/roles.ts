/** What a token may do. `restore-only` reads snapshots and their content, and starts nothing; `operator` runs jobs and reads no content. */
export const roles = ['viewer', 'operator', 'restore-only', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Who may call an operation. */
export const allowed = {
  anyone: roles,
  watchers: ['viewer', 'operator', 'admin'],
  /** Logs of jobs name files, too. */
  operators: ['operator', 'admin'],
  /** Names of files say much: a viewer does not see them. */
  browsers: ['operator', 'restore-only', 'admin'],
  restorers: ['restore-only', 'admin'],
  administrators: ['admin'],
} as const satisfies Record<string, readonly Role[]>;
