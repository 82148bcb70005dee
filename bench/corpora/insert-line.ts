import type { Random } from '../random.ts';

/** The content with one new line somewhere after an old one. */
export function insertLine(content: Buffer, random: Random): Buffer {
  const at = content.indexOf(10, random.below(content.length + 1)) + 1;
  const line = Buffer.from(`// ${random.uint32().toString(36)} ${random.uint32().toString(36)}\n`);
  return Buffer.concat([content.subarray(0, at), line, content.subarray(at)]);
}
