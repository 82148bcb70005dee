import type { CommandEntry } from './command.ts';

/** Every command of the program, in the order in which `--help` lists them. */
export const commandTable: readonly CommandEntry[] = [
  { name: 'init', summary: 'write a holdfast.yaml and create its repository and key', load: () => import('./commands/init.ts') },
  { name: 'backup', summary: 'back up volumes as one restore point', load: () => import('./commands/backup.ts') },
  { name: 'snapshots', summary: 'list the snapshots of the repository', load: () => import('./commands/snapshots.ts') },
  { name: 'ls', summary: 'list the files of a snapshot', load: () => import('./commands/ls.ts') },
  { name: 'find', summary: 'find files in snapshots', load: () => import('./commands/find.ts') },
  { name: 'diff', summary: 'show what changed between snapshots, or since one', load: () => import('./commands/diff.ts') },
  { name: 'dump', summary: 'write a file, or a directory as an archive, to stdout', load: () => import('./commands/dump.ts') },
  { name: 'stats', summary: 'count what snapshots take, restored and stored', load: () => import('./commands/stats.ts') },
  { name: 'restore', summary: 'restore volumes, or parts of them', load: () => import('./commands/restore.ts') },
  { name: 'export', summary: 'write volumes to a tar archive, encrypted if need be', load: () => import('./commands/export.ts') },
  { name: 'import', summary: 'make snapshots of tar archives', load: () => import('./commands/import.ts') },
  { name: 'guard', summary: 'take guard snapshots, then run a command', load: () => import('./commands/guard.ts') },
  { name: 'migrate', summary: 'turn bind mounts of a compose file into named volumes', load: () => import('./commands/migrate.ts') },
  { name: 'check', summary: 'verify that the repository is sound', load: () => import('./commands/check.ts') },
  { name: 'forget', summary: 'remove snapshots that no rule of retention keeps', load: () => import('./commands/forget.ts') },
  { name: 'prune', summary: 'remove what no snapshot needs', load: () => import('./commands/prune.ts') },
  { name: 'repair', summary: 'mend a damaged repository, as far as it can be', load: () => import('./commands/repair.ts') },
  { name: 'copy', summary: 'copy snapshots to another repository', load: () => import('./commands/copy.ts') },
  { name: 'key', summary: 'list, add, remove and replace keys', load: () => import('./commands/key.ts') },
  { name: 'tag', summary: 'change the tags of snapshots', load: () => import('./commands/tag.ts') },
  { name: 'volumes', summary: 'list the volumes of the project and their state', load: () => import('./commands/volumes.ts') },
  { name: 'audit', summary: 'find what is not protected as it should be', load: () => import('./commands/audit.ts') },
  { name: 'unlock', summary: 'remove locks that dead processes left behind', load: () => import('./commands/unlock.ts') },
  { name: 'completion', summary: 'print a completion script for a shell', load: () => import('./commands/completion.ts') },
];
