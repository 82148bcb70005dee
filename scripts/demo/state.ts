/** `auto-claude-data`: an application's state as JSON, logs of its tasks, and a SQLite database. */
import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Random, randomFrom } from '../../bench/random.ts';
import { hex, logLines, sentence } from './texts.ts';

export const databaseName = 'tasks.sqlite';
const linesOfLog = 6000;

export function makeState(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/state`);
  mkdirSync(join(root, 'state'));
  for (let number = 0; number < Math.max(3, Math.round(150 * scale)); number++) writeTask(root, number, random);
  mkdirSync(join(root, 'logs'));
  for (let day = 0; day < Math.max(2, Math.round(28 * scale)); day++) {
    writeFileSync(join(root, 'logs', `tasks-${String(day).padStart(3, '0')}.jsonl`), logLines(random, day * 2160, linesOfLog));
  }
  const database = new DatabaseSync(join(root, databaseName));
  try {
    database.exec('CREATE TABLE task (id INTEGER PRIMARY KEY, project TEXT, title TEXT, result TEXT, state TEXT)');
    database.exec('CREATE INDEX task_by_project ON task (project)');
    insertTasks(database, Math.round(70_000 * scale), random);
  } finally {
    database.close();
  }
}

function writeTask(root: string, number: number, random: Random): void {
  const steps = Array.from({ length: 8 }, () => ({ id: hex(random, 12), done: random.below(2) === 0, what: sentence(random) }));
  writeFileSync(
    join(root, 'state', `task-${number}.json`),
    `${JSON.stringify({ number, title: sentence(random, 5), steps }, undefined, 2)}\n`,
  );
}

function insertTasks(database: DatabaseSync, count: number, random: Random): void {
  const insert = database.prepare('INSERT INTO task (project, title, result, state) VALUES (?, ?, ?, ?)');
  database.exec('BEGIN');
  for (let number = 0; number < count; number++) insert.run(hex(random, 8), sentence(random, 6), sentence(random, 40), 'done');
  database.exec('COMMIT');
}

/** Another day of the application. Returns what was done, in words. */
export function changeState(root: string, seed: string): string {
  const random = randomFrom(`${seed}/state/changes`);
  const [log] = readdirSync(join(root, 'logs')).sort().reverse();
  appendFileSync(join(root, 'logs', log as string), logLines(random, 1_000_000, 500));
  rmSync(join(root, 'state', 'task-0.json'));
  writeTask(root, 1, random);
  const database = new DatabaseSync(join(root, databaseName));
  try {
    insertTasks(database, 50, random);
    database.exec("UPDATE task SET state = 'archived' WHERE id % 1000 = 0");
  } finally {
    database.close();
  }
  return 'a log continued, tasks finished and begun, rows added to and changed in the database';
}

/** What SQLite itself says of the database: its rows when it is sound. @throws Error with SQLite's complaint. */
export function countTasks(root: string): number {
  const database = new DatabaseSync(join(root, databaseName), { readOnly: true });
  try {
    const verdict = Object.values(database.prepare('PRAGMA integrity_check').get() ?? {})[0];
    if (verdict !== 'ok') throw new Error(`SQLite finds ${databaseName} damaged: ${verdict}`);
    return Number(database.prepare('SELECT count(*) AS rows FROM task').get()?.rows);
  } finally {
    database.close();
  }
}
