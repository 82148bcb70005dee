import { StringDecoder } from 'node:string_decoder';

/**
 * Lines of UTF-8, without their ends; empty ones are left out. Of a line that is longer than `longest` UTF-16 units only so much is given: what
 * has no end must not fill the memory.
 */
export async function* boundedLines(chunks: AsyncIterable<Buffer>, longest: number): AsyncIterable<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    const parts = decoder.write(chunk).split('\n');
    for (const [place, part] of parts.entries()) {
      if (rest.length < longest) rest += part.slice(0, longest - rest.length);
      if (place === parts.length - 1) continue;
      const line = rest.endsWith('\r') ? rest.slice(0, -1) : rest;
      rest = '';
      if (line !== '') yield line;
    }
  }
  if (rest !== '') yield rest;
}
