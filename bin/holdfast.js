#!/usr/bin/env node
/**
 * Starts the command line. Plain JavaScript that old Nodes can parse too, so that they say what is wrong instead of
 * stumbling over syntax: nothing of the application is imported before the version is known to be good.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The first version that strips types without a flag or a warning, and has zstd. Also in package.json, `engines`. */
const oldestNode = [24, 12];
const usageError = 2;

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
  console.error(`holdfast: needs Node ${oldestNode.join('.')} or newer, but this is Node ${process.versions.node} (${process.execPath}).`);
  console.error('Install a newer Node, or run ./holdfast in a checkout, which brings its own.');
  process.exit(usageError);
}

if (isUp(process.argv.slice(2))) {
  keepHeapSmall();
  // The daemon reads its configuration anew at SIGHUP. Until it has read it once, there is nothing to do, and above all nothing to end.
  process.on('SIGHUP', () => {});
}

const root = fileURLToPath(new URL('..', import.meta.url));
const compileCache = privateFolder([
  ...(existsSync(join(root, 'node_modules')) ? [join(root, 'node_modules', '.cache', 'holdfast')] : []),
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast', 'compiled'),
]);
if (compileCache !== undefined && module.enableCompileCache !== undefined) module.enableCompileCache(compileCache);

await import(pathToFileURL(entryPoint()).href);

/** What was built, which starts faster; in a checkout that was changed since, its TypeScript. */
function entryPoint() {
  const built = join(root, 'dist', 'program', 'main.js');
  const source = join(root, 'src', 'cli', 'main.ts');
  // Node strips no types below node_modules.
  if (!existsSync(source) || root.split(sep).includes('node_modules')) return built;
  return isNewerThanSources(built) ? built : source;
}

function isNewerThanSources(built) {
  const builtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const isOlder = (name) => statSync(`${root}${name}`).mtimeMs < builtMs;
  return (
    builtMs > 0 && isOlder('package.json') && readdirSync(join(root, 'src'), { recursive: true }).every((name) => isOlder(`src/${name}`))
  );
}

/**
 * The first of the folders that is there or can be made, and that nobody but this user can write to: what lies in a compile
 * cache is run. Undefined when there is none; starting is slower then, and no worse.
 */
function privateFolder(folders) {
  return folders.find((folder) => {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const { mode, uid } = lstatSync(folder);
      return uid === process.getuid() && (mode & 0o022) === 0;
    } catch {
      return false;
    }
  });
}

/** Whether the command is `up`: only options, and words that may be their values, are before it. What is taken for it wrongly is none the worse. */
function isUp(words) {
  const place = words.indexOf('up');
  return words.slice(0, place).every((word, i) => word[0] === '-' || (i > 0 && words[i - 1][0] === '-')) && place >= 0;
}

/**
 * Begins this process anew, with the same id and files, where V8 does not collect often and keep little yet, which it can be told at its start only;
 * then it does not return. What runs for months beside other programs should be small before it is quick. Comes before all else, so that
 * what a signal does is settled once. Systems that cannot do that go on as they are.
 */
function keepHeapSmall() {
  const flags = ['--optimize-for-size', '--max-semi-space-size=1'];
  const { execArgv, execPath, argv, env } = process;
  if (process.execve === undefined || flags.every((flag) => execArgv.includes(flag))) return;
  process.execve(execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], env);
}
