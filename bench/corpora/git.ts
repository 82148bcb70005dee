import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Random, randomFrom } from '../random.ts';
import { insertLine } from './insert-line.ts';

const trackedFiles = 1500;
const packedCommits = 200;
const looseCommits = 40;

/**
 * A git repository with history: most commits in a pack, the last ones as loose objects, a work tree. Nothing in it
 * tells when or where it was made, so that the same seed gives the same bytes.
 */
export function makeRepository(root: string, contentFrom: string, paths: readonly string[], seed: string, scale: number): void {
  mkdirSync(root, { recursive: true });
  git(root, ['init', '--quiet', '--template=', '--initial-branch=main', '.']);
  const random = randomFrom(`${seed}/git`);
  const chosen = evenly(paths, Math.ceil(trackedFiles * scale));
  const tree = new Map(chosen.map((path) => [path, readFileSync(join(contentFrom, path))]));
  const history = new History(tree, random);
  history.commit([...tree.keys()]);
  for (let count = Math.ceil(packedCommits * scale); count > 0; count--) history.commitEdits();
  fastImport(root, history.take(), 'pack');
  for (let count = Math.ceil(looseCommits * scale); count > 0; count--) history.commitEdits();
  fastImport(root, history.take(), 'loose');
  checkOut(root);
}

/** A day's commits on top, with the work tree that belongs to them. */
export function churnRepository(root: string, seed: string, scale: number): void {
  const random = randomFrom(`${seed}/git/churn`);
  const paths = git(root, ['ls-tree', '-r', '--name-only', '-z', 'HEAD']).toString('utf8').split('\0').filter(Boolean);
  const touched = evenly(paths, Math.ceil(15 * scale));
  const history = new History(
    new Map(touched.map((path) => [path, readFileSync(join(root, path))])),
    random,
    git(root, ['rev-parse', 'HEAD']).toString().trim(),
  );
  for (let count = Math.ceil(8 * scale); count > 0; count--) history.commitEdits();
  fastImport(root, history.take(), 'loose');
  checkOut(root, history.edited);
}

function evenly<Item>(list: readonly Item[], count: number): Item[] {
  const step = Math.max(1, list.length / count);
  return Array.from({ length: Math.min(count, list.length) }, (_, index) => list[Math.floor(index * step)] as Item);
}

/** Collects commits as the stream that `git fast-import` reads. */
class History {
  readonly edited = new Set<string>();
  private readonly tree: Map<string, Buffer>;
  private readonly paths: string[];
  private readonly random: Random;
  private parts: Buffer[] = [];
  private commits = 0;
  private parent: string | undefined;

  constructor(tree: Map<string, Buffer>, random: Random, parent?: string) {
    this.tree = tree;
    this.paths = [...tree.keys()];
    this.random = random;
    this.parent = parent;
  }

  commitEdits(): void {
    const edits = new Set(Array.from({ length: 1 + this.random.below(5) }, () => this.random.pick(this.paths)));
    for (const path of edits) this.tree.set(path, insertLine(this.tree.get(path) as Buffer, this.random));
    this.commit([...edits]);
  }

  commit(paths: readonly string[]): void {
    const when = `Bench <bench@example.org> ${1_720_000_000 + this.commits++ * 7200} +0000`;
    const message = `Change ${paths.length} files\n`;
    this.parts.push(Buffer.from(`commit refs/heads/main\ncommitter ${when}\ndata ${message.length}\n${message}`));
    if (this.parent !== undefined) this.parts.push(Buffer.from(`from ${this.parent}\n`));
    for (const path of paths) {
      const content = this.tree.get(path) as Buffer;
      this.parts.push(Buffer.from(`M 100644 inline ${JSON.stringify(path)}\ndata ${content.length}\n`), content, Buffer.from('\n'));
      this.edited.add(path);
    }
    this.parent = undefined;
  }

  /** What was committed since the last call; what comes next builds upon it. */
  take(): Buffer {
    const stream = Buffer.concat(this.parts);
    this.parts = [];
    this.parent = 'refs/heads/main^0';
    return stream;
  }
}

function fastImport(root: string, stream: Buffer, as: 'pack' | 'loose'): void {
  git(root, ['-c', `fastimport.unpackLimit=${as === 'pack' ? 1 : 1_000_000}`, 'fast-import', '--quiet'], stream);
}

/** Writes the work tree (or the given paths of it), and an index without the times and inodes of this machine. */
function checkOut(root: string, paths?: Iterable<string>): void {
  git(root, ['read-tree', 'HEAD']);
  const names = paths === undefined ? git(root, ['ls-files', '-z']) : Buffer.from([...paths].map((path) => `${path}\0`).join(''));
  git(root, ['checkout-index', '--force', '-z', '--stdin'], names);
  for (const stray of ['ORIG_HEAD', 'logs']) {
    if (existsSync(join(root, '.git', stray))) rmSync(join(root, '.git', stray), { recursive: true });
  }
}

function git(root: string, args: readonly string[], input?: Buffer): Buffer {
  const settings = ['-c', 'core.logAllRefUpdates=false', '-c', 'gc.auto=0', '-c', 'pack.threads=1', '-c', 'core.safecrlf=false'];
  return execFileSync('git', ['-C', root, ...settings, ...args], {
    input: input ?? '',
    maxBuffer: 256 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
  });
}
