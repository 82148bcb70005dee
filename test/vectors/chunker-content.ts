import { createCipheriv, createHash } from 'node:crypto';

/** `random`: the AES-256-CTR keystream, counter from 0, of the key SHA-256(seed). `repeat`: the text, repeated up to the length. */
export type ContentPart = { random: string; bytes: number } | { repeat: string; bytes: number } | { zeros: true; bytes: number };

/** What chunker.json holds: where restic cut contents that anyone can make again. */
export type ChunkerVectors = {
  writtenBy: string;
  /** Hexadecimal, as in the repository's config. */
  polynomial: string;
  contents: { name: string; parts: ContentPart[]; chunkBytes: number[] }[];
}[];

export function contentOf(parts: readonly ContentPart[]): Buffer {
  return Buffer.concat(parts.map(partContent));
}

function partContent(part: ContentPart): Buffer {
  const zeros = Buffer.alloc(part.bytes);
  if ('zeros' in part) return zeros;
  if ('repeat' in part) return Buffer.alloc(part.bytes, part.repeat, 'utf8');
  const key = createHash('sha256').update(part.random).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(zeros);
}
