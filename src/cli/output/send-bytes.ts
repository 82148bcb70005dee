/** Bytes as a command's result on standard output. */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HoldfastError } from '../../model/errors.ts';
import { outputFailure } from './output-file.ts';
import type { Sink } from './sink.ts';

/** @throws `interrupted` when nobody reads any more; `target-full`, `target-unwritable`; what the bytes throw. */
export async function sendBytes(bytes: AsyncIterable<Uint8Array>, stdout: Sink, signal: AbortSignal): Promise<void> {
  try {
    await pipeline(bytes, byteSink(stdout), { signal, end: false });
  } catch (error) {
    // `holdfast dump | head`: nobody reads any more.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE')
      throw new HoldfastError('interrupted', 'the output is not read any more', { cause: error });
    throw outputFailure(error, 'standard output');
  }
}

/** Standard output takes bytes though commands mostly write text to it. */
function byteSink(stdout: Sink): Writable {
  if (stdout instanceof Writable) return stdout;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      stdout.write(chunk.toString('latin1'));
      done();
    },
  });
}
