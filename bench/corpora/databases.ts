import { appendFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Random, randomFrom } from '../random.ts';
import { ageFiles, kibibyte, mebibyte, overwrite, writeStreaming } from './files.ts';
import { type FillPage, fillHeapPage, fillLogPage, fillTablePage } from './records.ts';

type DatabaseFile = { path: string; sizeMebibytes: number; pageBytes: number; fill: FillPage };

/** 1 GiB together. */
const databaseFiles: readonly DatabaseFile[] = [
  { path: 'postgres/base/16384/16401', sizeMebibytes: 448, pageBytes: 8 * kibibyte, fill: fillHeapPage },
  { path: 'sqlite/tasks.db', sizeMebibytes: 320, pageBytes: 4 * kibibyte, fill: fillTablePage },
  { path: 'redis/appendonly.aof', sizeMebibytes: 192, pageBytes: 64 * kibibyte, fill: fillLogPage },
  { path: 'postgres/pg_wal/000000010000000000000001', sizeMebibytes: 16, pageBytes: 8 * kibibyte, fill: fillHeapPage },
  { path: 'postgres/pg_wal/000000010000000000000002', sizeMebibytes: 16, pageBytes: 8 * kibibyte, fill: fillHeapPage },
  { path: 'postgres/pg_wal/000000010000000000000003', sizeMebibytes: 16, pageBytes: 8 * kibibyte, fill: fillHeapPage },
  { path: 'postgres/pg_wal/000000010000000000000004', sizeMebibytes: 16, pageBytes: 8 * kibibyte, fill: fillHeapPage },
];

const pagesOf = (file: DatabaseFile, scale: number): number =>
  Math.max(1, Math.floor((file.sizeMebibytes * mebibyte * scale) / file.pageBytes));

/** A few large files of records, which zstd makes 2 to 3 times smaller. */
export function generateDatabases(root: string, seed: string, scale: number): void {
  for (const file of databaseFiles) {
    mkdirSync(dirname(join(root, file.path)), { recursive: true });
    const sizeBytes = pagesOf(file, scale) * file.pageBytes;
    writeStreaming(join(root, file.path), sizeBytes, pageStream(file, randomFrom(`${seed}/${file.path}`)));
  }
  ageFiles(root, `${seed}/databases`);
}

function pageStream(file: DatabaseFile, random: Random): (lengthBytes: number) => Uint8Array {
  const part = Buffer.alloc(mebibyte);
  let number = 0;
  return (lengthBytes) => {
    for (let at = 0; at < lengthBytes; at += file.pageBytes) file.fill(part.subarray(at, at + file.pageBytes), number++, random);
    return part.subarray(0, lengthBytes);
  };
}

/**
 * What a day does to 1% of it: pages of the tables are rewritten, half of them in runs (a vacuum, a bulk update), half
 * alone but in the tenth of the file that is in use; the log grows; the oldest WAL segment is recycled under a new name.
 */
export function churnDatabases(root: string, seed: string, scale: number): void {
  for (const file of databaseFiles.slice(0, 2)) rewritePages(root, file, scale, randomFrom(`${seed}/${file.path}/churn`));
  const log = databaseFiles[2] as DatabaseFile;
  const next = pageStream(log, randomFrom(`${seed}/${log.path}/churn`));
  for (let pages = Math.ceil(48 * scale); pages > 0; pages--) appendFileSync(join(root, log.path), next(log.pageBytes));
  const oldest = join(root, (databaseFiles[3] as DatabaseFile).path);
  renameSync(oldest, `${oldest.slice(0, -1)}5`);
}

const pagesInRun = 16;

function rewritePages(root: string, file: DatabaseFile, scale: number, random: Random): void {
  const pages = pagesOf(file, scale);
  const page = Buffer.alloc(file.pageBytes);
  const rewrite = (number: number): void => {
    file.fill(page, number, random);
    overwrite(join(root, file.path), number * file.pageBytes, page);
  };
  const runs = Math.ceil((pages * 0.005) / pagesInRun);
  for (let run = 0; run < runs; run++) {
    const start = random.below(Math.max(1, pages - pagesInRun));
    for (let number = start; number < Math.min(start + pagesInRun, pages); number++) rewrite(number);
  }
  const hotStart = Math.floor(pages * 0.6);
  const hotPages = Math.max(1, Math.floor(pages * 0.1));
  for (let count = Math.ceil(pages * 0.005); count > 0; count--) rewrite(hotStart + random.below(hotPages));
}
