/** `projects-data`: what developers leave on a disk. Many small files, some large ones, dependencies, a git repository, links. */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { kibibyte, listFiles, mebibyte } from '../../bench/corpora/files.ts';
import { churnRepository, makeRepository } from '../../bench/corpora/git.ts';
import { insertLine } from '../../bench/corpora/insert-line.ts';
import { noiseFrom, type Random, randomFrom } from '../../bench/random.ts';
import { sentence, sourceFile, word } from './texts.ts';

export type DataChoice = {
  seed: string;
  /** 1 is about 250 MB. */
  scale: number;
  /** Root of the checkout, whose node_modules are copied. */
  checkout: string;
  hasGit: boolean;
};

const scaled = (count: number, { scale }: DataChoice): number => Math.max(1, Math.round(count * scale));

export function makeProjects(root: string, choice: DataChoice): void {
  const random = randomFrom(`${choice.seed}/projects`);
  makeSources(join(root, 'webshop'), scaled(600, choice), random);
  makeImages(join(root, 'webshop', 'public'), choice);
  const original = join(choice.checkout, 'node_modules');
  const small = filesOfPackages(original).filter((path) => lstatSync(join(original, path)).size <= 64 * kibibyte);
  copyDependencies(original, join(root, 'webshop', 'node_modules'), small.slice(0, scaled(4000, choice)));
  makeLinks(join(root, 'webshop'));
  if (choice.hasGit) {
    const tracked = small.filter((path) => /\.(js|ts|md|json)$/.test(path));
    makeRepository(join(root, 'importer'), original, tracked, choice.seed, choice.scale / 2);
  } else makeSources(join(root, 'importer'), scaled(700, choice), random);
  ageProject(join(root, 'webshop'), random);
}

function makeSources(project: string, count: number, random: Random): void {
  for (let number = 0; number < count; number++) {
    const path = join(project, 'src', word(random), `${word(random)}-${number}.ts`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, sourceFile(random));
  }
  writeFileSync(join(project, 'package.json'), `${JSON.stringify({ name: 'webshop', private: true, type: 'module' }, undefined, 2)}\n`);
  writeFileSync(join(project, 'README.md'), `# ${sentence(random, 3)}\n\n${sentence(random, 80)}\n`);
  writeFileSync(join(project, 'Grüße aus 東京.md'), `${sentence(random)}\n`);
  writeFileSync(join(project, '.env'), `SESSION_SECRET=not-a-secret-${random.uint32()}\n`, { mode: 0o600 });
  writeFileSync(join(project, 'src', '.gitkeep'), '');
  mkdirSync(join(project, 'tmp', 'empty'), { recursive: true });
}

/** Pictures and a video: what no compressor shrinks. */
function makeImages(folder: string, choice: DataChoice): void {
  const noise = noiseFrom(`${choice.seed}/images`);
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < scaled(150, choice); number++) writeFileSync(join(folder, `photo-${number}.jpg`), noise(250 * kibibyte));
  writeFileSync(join(folder, 'introduction.mp4'), noise(scaled(70 * mebibyte, choice)));
}

/** Without hidden folders: caches of tools, which not everybody may read. */
function filesOfPackages(dependencies: string): string[] {
  const packages = readdirSync(dependencies, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
  return packages.flatMap((name) => listFiles(join(dependencies, name)).files.map((path) => join(name, path)));
}

function copyDependencies(from: string, to: string, paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    copyFileSync(join(from, path), join(to, path));
  }
  mkdirSync(join(to, '.bin'));
  for (const name of readdirSync(join(from, '.bin'))) symlinkSync(readlinkSync(join(from, '.bin', name)), join(to, '.bin', name));
}

function makeLinks(project: string): void {
  symlinkSync('src', join(project, 'sources'));
  symlinkSync('releases/none-yet', join(project, 'current'));
  symlinkSync('/app/projects/shared', join(project, 'shared'));
  linkSync(join(project, 'README.md'), join(project, 'src', 'README.md'));
  mkdirSync(join(project, 'bin'));
  writeFileSync(join(project, 'bin', 'deploy'), '#!/bin/sh\nexec echo deployed\n', { mode: 0o755 });
  chmodSync(join(project, 'src'), 0o2775);
  chmodSync(join(project, 'tmp'), 0o1777);
  if (process.getuid?.() === 0) {
    chownSync(join(project, 'bin', 'deploy'), 1000, 1000);
    chownSync(join(project, 'tmp'), 1000, 1000);
    chmodSync(join(project, 'bin', 'deploy'), 0o4755);
  }
}

/** Times of the last year, to the microsecond, so that the tree looks lived-in. */
function ageProject(project: string, random: Random): void {
  for (const path of listFiles(project).files) {
    const seconds = 1_750_000_000 + random.below(31_000_000) + random.below(1_000_000) / 1_000_000;
    utimesSync(join(project, path), seconds, seconds);
  }
}

/** A day's work: edited, continued, renamed, deleted and new files, commits. Returns what was done, in words. */
export function changeProjects(root: string, choice: DataChoice): string {
  const random = randomFrom(`${choice.seed}/projects/changes`);
  const project = join(root, 'webshop');
  const sources = listFiles(join(project, 'src')).files.filter((path) => path.endsWith('.ts'));
  const changes = scaled(80, choice);
  for (let number = 0; number < changes; number++) {
    const path = join(project, 'src', sources[number % sources.length] as string);
    const kind = number % 8;
    if (number >= sources.length) break;
    if (kind < 4) writeFileSync(path, insertLine(readFileSync(path), random));
    else if (kind === 4) appendFileSync(path, `\n${sourceFile(random)}`);
    else if (kind === 5) renameSync(path, path.replace(/\.ts$/, '-renamed.ts'));
    else if (kind === 6) rmSync(path);
    else writeFileSync(path.replace(/\.ts$/, '.test.ts'), sourceFile(random));
  }
  renameSync(join(project, 'public', 'introduction.mp4'), join(project, 'public', 'welcome.mp4'));
  if (choice.hasGit) churnRepository(join(root, 'importer'), choice.seed, choice.scale);
  return `${changes} source files edited, continued, renamed, deleted or added; a video renamed${choice.hasGit ? '; new commits' : ''}`;
}
