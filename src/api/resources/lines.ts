import { HoldfastError } from '../../model/errors.ts';

/** Longer than any that a command writes. */
const longestLine = 1024 * 1024;

/** Lines of what a process or a server writes. Who stops reading ends the process: no stream is left between the two that could fail unseen. */
export async function* linesOf(parts: AsyncIterable<Uint8Array>, longest: number = longestLine): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of parts) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n');
    rest = lines.pop() as string;
    if (rest.length > longest) throw new HoldfastError('command-failed', 'what was written is a line without an end');
    yield* lines;
  }
  if (rest !== '') yield rest;
}
