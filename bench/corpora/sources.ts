import {
  appendFileSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Random, randomFrom } from '../random.ts';
import { ageFiles, kibibyte, listFiles, mebibyte } from './files.ts';
import { churnRepository, makeRepository } from './git.ts';
import { insertLine } from './insert-line.ts';

const dependencyFiles = 42_000;
/** Larger files are native programs of the machine at hand; a code project holds them rarely, and once. */
const largestCopied = mebibyte;
const largestEdited = 256 * kibibyte;

/**
 * Code projects: `original`, a real node_modules, copied until there are 42,000 files, where from the second copy on a
 * quarter of the files differ by a line (other versions of the same packages), and one git repository.
 */
export function generateSources(root: string, seed: string, scale: number, original: string): void {
  const { files, symlinks } = listFiles(original);
  const copied = files.filter((path) => lstatSync(join(original, path)).size <= largestCopied);
  let wanted = Math.ceil(dependencyFiles * scale);
  for (let project = 0; wanted > 0; project++) {
    const random = randomFrom(`${seed}/sources/${project}`);
    const target = join(root, `project-${project}`, 'node_modules');
    copyFiles(original, target, copied.slice(0, wanted), project === 0 ? undefined : random);
    for (const path of symlinks) copySymlink(join(original, path), join(target, path));
    wanted -= copied.length;
  }
  const tracked = copied.filter((path) => /\.(js|ts|md|json)$/.test(path) && lstatSync(join(original, path)).size <= 64 * kibibyte);
  makeRepository(join(root, 'repository'), original, tracked, seed, scale);
  ageFiles(root, `${seed}/sources`);
}

function copyFiles(from: string, to: string, paths: readonly string[], edits: Random | undefined): void {
  for (const path of paths) {
    const content = readFileSync(join(from, path));
    const edited = edits !== undefined && edits.fraction() < 0.25 && content.length <= largestEdited;
    mkdirSync(dirname(join(to, path)), { recursive: true });
    writeFileSync(join(to, path), edited ? insertLine(content, edits) : content);
  }
}

function copySymlink(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(readlinkSync(from), to);
}

/** What happens to 1% of the files: 60% edited, 15% continued, 10% renamed, 10% deleted, 5% new; commits to the repository. */
export function churnSources(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/sources/churn`);
  const files = listFiles(root).files.filter((path) => path.includes('/node_modules/'));
  const changes = Math.ceil(files.length * 0.01);
  for (let change = 0; change < changes; change++) {
    const path = takeOne(files, random);
    if (path === undefined) break;
    changeFile(join(root, path), random);
  }
  churnRepository(join(root, 'repository'), seed, scale);
}

function takeOne(files: string[], random: Random): string | undefined {
  const at = random.below(files.length);
  const path = files[at];
  const last = files.pop();
  if (last !== undefined && at < files.length) files[at] = last;
  return path;
}

function changeFile(path: string, random: Random): void {
  const kind = random.fraction();
  if (kind < 0.6) writeFileSync(path, insertLine(readFileSync(path), random));
  else if (kind < 0.75) appendFileSync(path, `// ${random.uint32()}\n`);
  else if (kind < 0.85) renameSync(path, `${path}.${random.below(1000)}`);
  else if (kind < 0.95) rmSync(path);
  else copyFileSync(path, `${path}.copy-${random.below(1000)}`);
}
