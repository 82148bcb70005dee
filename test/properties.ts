/** How often properties are tried, and on what. */
import fc from 'fast-check';

export { fc };

/** The same values each time, so that what fails is of the last change, and fails again; others with another HOLDFAST_TEST_SEED, or `random`. */
const seed = process.env.HOLDFAST_TEST_SEED ?? '1';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });

const factor = Number(process.env.HOLDFAST_TEST_RUNS ?? (process.env.CI ? 1 : 0.2));

/**
 * @param usual what continuous integration tries.
 * @returns as many there, a fifth at a desk, and as many times `usual` as HOLDFAST_TEST_RUNS says; never less than ten.
 */
export const runs = (usual: number): number => Math.max(Math.min(10, usual), Math.round(usual * factor));

/**
 * Any character, those of ASCII more often. fast-check's own unit `binary` is the same, but takes a second of processor time to
 * begin with.
 */
const character = fc
  .oneof(
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 0xd7ff }) },
    { weight: 1, arbitrary: fc.integer({ min: 0xe000, max: 0x10ffff }) },
  )
  .map((point) => String.fromCodePoint(point));

/** Text of any characters: also controls, separators of lines, and what no font shows. */
export const anyText = (limits: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.string({ ...limits, unit: character });
