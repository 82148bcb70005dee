/**
 * Makes `dist/`, the JavaScript of the published package: Node strips no types from files below node_modules. Beside what
 * the compiler does, the WebAssembly kernels are copied, and `new URL('./x.ts', import.meta.url)`, which starts
 * worker threads and is no import to the compiler, is pointed at the `.js` file.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
const compiled = spawnSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

for (const kernel of globSync('**/*.wasm', { cwd: join(root, 'src') })) cpSync(join(root, 'src', kernel), join(dist, kernel));

for (const name of globSync('**/*.js', { cwd: dist })) {
  const file = join(dist, name);
  const text = readFileSync(file, 'utf8');
  const built = text.replace(/(new URL\(\s*['"])([^'"]+)\.ts(['"],\s*import\.meta\.url)/g, '$1$2.js$3');
  for (const [, target = ''] of built.matchAll(/new URL\(\s*['"]([^'"]+\.js)['"],\s*import\.meta\.url/g)) {
    if (!existsSync(join(dirname(file), target))) throw new Error(`dist/${name} names ${target}, which was not built`);
  }
  if (built !== text) writeFileSync(file, built);
}
