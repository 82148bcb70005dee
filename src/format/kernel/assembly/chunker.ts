/**
 * AssemblyScript. Finds where content may be cut: positions whose Rabin fingerprint over the 64 bytes before them has
 * 20 zero bits at its end (M. O. Rabin, "Fingerprinting by random polynomials", 1981; A. Broder, "Some applications of
 * Rabin's fingerprinting method", 1993; the parameters are those of restic's chunker).
 *
 * A fingerprint is a polynomial over GF(2), one bit a coefficient, modulo an irreducible polynomial of degree 53.
 */

const WINDOW: usize = 64;
const DEGREE: u64 = 53;
const CUT_MASK: u64 = (1 << 20) - 1;

/** Table: what a byte that leaves the window adds to the fingerprint, 256 times 8 bytes. */
const LEAVING: usize = 0;
/** Table: what the 8 bits that a shift moves beyond the degree become, and what clears them, 256 times 8 bytes. */
const OVERFLOW: usize = 2048;

/**
 * Fingerprints of far-away positions don't depend on each other, so a processor can work on several at once: one
 * alone waits for its table most of the time (0.4 GB/s; 4 lanes 1.35, 5 to 8 lanes 1.5). A block is cut into lanes of this length.
 */
const LANE: usize = 3072;
const BLOCK: usize = 6 * LANE;

function timesByte(fingerprint: u64, polynomial: u64): u64 {
  for (let bit = 0; bit < 8; bit++) {
    fingerprint <<= 1;
    if (fingerprint >> DEGREE) fingerprint ^= polynomial;
  }
  return fingerprint;
}

/** Fills the tables for a polynomial of degree 53; once, before everything else. */
export function setPolynomial(polynomial: u64): void {
  for (let byte: u64 = 0; byte < 256; byte++) {
    let leaving = byte;
    for (let i: usize = 0; i < WINDOW; i++) leaving = timesByte(leaving, polynomial);
    store<u64>(<usize>byte << 3, leaving, LEAVING);
    const overflow = timesByte(byte << (DEGREE - 8), polynomial);
    store<u64>(<usize>byte << 3, overflow | (byte << DEGREE), OVERFLOW);
  }
}

/** The fingerprint after one more byte. */
function append(fingerprint: u64, entering: u64): u64 {
  return (fingerprint << 8) ^ entering ^ load<u64>(<usize>(fingerprint >> (DEGREE - 8)) << 3, OVERFLOW);
}

/** The fingerprint after the window has moved by one byte. */
function slide(fingerprint: u64, entering: u64, leaving: u64): u64 {
  return append(fingerprint, entering) ^ load<u64>(<usize>leaving << 3, LEAVING);
}

function isCut(fingerprint: u64): bool {
  return (fingerprint & CUT_MASK) == 0;
}

function nearer(found: usize, cut: usize, first: usize): usize {
  return cut >= first ? min(found, cut) : found;
}

/**
 * The nearest cut, at `first` or behind it, after one of the BLOCK bytes at `at`; the largest number when there is none.
 * Reads the window before the block too.
 */
function scanBlock(at: usize, first: usize): usize {
  let a: u64 = 0;
  let b: u64 = 0;
  let c: u64 = 0;
  let d: u64 = 0;
  let e: u64 = 0;
  let f: u64 = 0;
  for (let i = at - WINDOW; i < at; i++) {
    a = append(a, load<u8>(i, 0 * LANE));
    b = append(b, load<u8>(i, 1 * LANE));
    c = append(c, load<u8>(i, 2 * LANE));
    d = append(d, load<u8>(i, 3 * LANE));
    e = append(e, load<u8>(i, 4 * LANE));
    f = append(f, load<u8>(i, 5 * LANE));
  }
  let found = usize.MAX_VALUE;
  // The window's first byte leaves at i, the next byte enters at i + WINDOW, and the cut would be behind that one.
  for (let i = at - WINDOW, end = at - WINDOW + LANE; i < end; i++) {
    a = slide(a, load<u8>(i, 0 * LANE + WINDOW), load<u8>(i, 0 * LANE));
    b = slide(b, load<u8>(i, 1 * LANE + WINDOW), load<u8>(i, 1 * LANE));
    c = slide(c, load<u8>(i, 2 * LANE + WINDOW), load<u8>(i, 2 * LANE));
    d = slide(d, load<u8>(i, 3 * LANE + WINDOW), load<u8>(i, 3 * LANE));
    e = slide(e, load<u8>(i, 4 * LANE + WINDOW), load<u8>(i, 4 * LANE));
    f = slide(f, load<u8>(i, 5 * LANE + WINDOW), load<u8>(i, 5 * LANE));
    if (isCut(a)) found = nearer(found, i + (0 * LANE + WINDOW + 1), first);
    if (isCut(b)) found = nearer(found, i + (1 * LANE + WINDOW + 1), first);
    if (isCut(c)) found = nearer(found, i + (2 * LANE + WINDOW + 1), first);
    if (isCut(d)) found = nearer(found, i + (3 * LANE + WINDOW + 1), first);
    if (isCut(e)) found = nearer(found, i + (4 * LANE + WINDOW + 1), first);
    if (isCut(f)) found = nearer(found, i + (5 * LANE + WINDOW + 1), first);
  }
  return found;
}

/**
 * The nearest cut between the addresses `first` and `end`, both included; 0 when there is none. At least BLOCK + WINDOW
 * bytes of the same content must lie before `first`: the last block ends at `end`, and overlaps what was scanned before.
 */
export function nearestCut(first: usize, end: usize): usize {
  for (let at = first - 1; at < end; at += BLOCK) {
    const found = scanBlock(min(at, end - BLOCK), first);
    if (found <= end) return found;
  }
  return 0;
}
