/** A tree made node by node, for directories of millions of entries: what is held is its bytes, not its nodes. */
import { HoldfastError } from '../model/errors.ts';
import { displayRaw, type RawString } from '../model/raw-bytes.ts';

export type TreeEncoder = {
  /**
   * @param json what `jsonFromNode` made of the node of this name.
   * @throws `internal` when names are not strictly ascending.
   */
  add(name: RawString, json: string): void;
  readonly sizeBytes: number;
  /** The bytes that `encodeTree` makes of the same nodes. Once. */
  finish(): Buffer;
};

const begin = '{"nodes":[';
const end = ']}\n';
/** Small trees are one string until the end. */
const gatheredCharacters = 256 * 1024;

export function createTreeEncoder(): TreeEncoder {
  let gathered = begin;
  let buffer = Buffer.alloc(0);
  let used = 0;
  let previous: RawString | undefined;

  function settle(): void {
    if (used + gathered.length > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * buffer.length, used + gathered.length));
      buffer.copy(larger, 0, 0, used);
      buffer = larger;
    }
    used += buffer.write(gathered, used, 'latin1');
    gathered = '';
  }

  return {
    add(name, json) {
      if (previous !== undefined) {
        if (name <= previous) throw new HoldfastError('internal', `tree entries are out of order at "${displayRaw(name)}"`);
        gathered += ',';
      }
      previous = name;
      gathered += json;
      if (gathered.length >= gatheredCharacters) settle();
    },
    get sizeBytes() {
      return used + gathered.length + end.length;
    },
    finish() {
      gathered += end;
      if (used === 0) return Buffer.from(gathered, 'latin1');
      settle();
      return buffer.subarray(0, used);
    },
  };
}
