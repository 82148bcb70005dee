/** Compiles the AssemblyScript kernels to WebAssembly, beside their loaders. Says nothing unless it fails. */
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const folder = join(import.meta.dirname, '../src/format/kernel');

/** No runtime and no memory of its own: the loader owns the memory and lays it out. */
const options = ['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--enable', 'simd'];

for (const file of readdirSync(join(folder, 'assembly'))) {
  if (!file.endsWith('.ts')) continue;
  const wasm = `${file.slice(0, -3)}.wasm`;
  // Complete or not there: another process may be loading the kernel just now.
  const unfinished = `${wasm}.${process.pid}`;
  const { error, stderr } = await asc.main([join('assembly', file), '--baseDir', folder, '--outFile', unfinished, ...options]);
  if (error) {
    process.stderr.write(`${file}: ${error.message}\n${stderr.toString()}`);
    process.exit(1);
  }
  renameSync(join(folder, unfinished), join(folder, wasm));
}
