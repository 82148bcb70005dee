/**
 * The Node executable carries zstd and OpenSSL and exports their C functions. Calling them directly, with contexts that
 * are kept and into buffers that are kept, costs a third of `node:zlib` and an eighth of `node:crypto` for a blob of
 * 4 KiB (zstd 13 us against 35 us, AES-CTR 0.9 us against 7 us). It is the same code of the same library; where a build of Node
 * doesn't export it, the kernels fall back to Node's modules.
 */
import koffi from 'koffi';

type Native = (...args: unknown[]) => unknown;

let executable: ReturnType<typeof koffi.load> | undefined;

/** Set to force the fallbacks, so that tests can compare both ways. */
const disabled = process.env.HOLDFAST_PORTABLE_KERNELS === '1';

/**
 * Binds C functions of the executable.
 * @param declarations C prototypes, in the order of the result.
 * @returns undefined when one of them isn't exported: then use the portable way.
 */
export function bindExecutable(declarations: readonly string[]): Native[] | undefined {
  if (disabled) return undefined;
  try {
    executable ??= koffi.load(null);
    const library = executable;
    return declarations.map((declaration) => library.func(declaration) as Native);
  } catch {
    return undefined;
  }
}
