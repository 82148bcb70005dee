import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Server } from 'node:https';
import { HoldfastError } from '../model/errors.ts';

/** The certificate of the API, as it is renewed now and then. */

export type TlsFiles = { certificate: string; key: string };

/** @throws `configuration` naming the file. */
export function readCertificate({ certificate, key }: TlsFiles): { cert: Buffer; key: Buffer } {
  const read = (file: string) => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new HoldfastError('configuration', `${file} of daemon.tls cannot be read`, { cause, file });
    }
  };
  return { cert: read(certificate), key: read(key) };
}

export type Renewal = {
  /** Milliseconds. */
  everyMs: number;
  onProblem(message: string): void;
  /** Ends it. */
  signal: AbortSignal;
};

/** Takes a renewed certificate without a restart; one that does not fit its key changes nothing, and is told of. */
export function renewCertificate(server: Server, tls: TlsFiles, { everyMs, onProblem, signal }: Renewal): void {
  const signature = async () => {
    const found = await Promise.all([tls.certificate, tls.key].map((file) => stat(file).catch(() => undefined)));
    return found.map((one) => `${one?.ino} ${one?.mtimeMs} ${one?.size}`).join();
  };
  let seen = signature();
  const timer = setInterval(async () => {
    const [before, current] = [await seen, await signature()];
    if (before === current) return;
    seen = Promise.resolve(current);
    try {
      server.setSecureContext(readCertificate(tls));
    } catch (error) {
      onProblem(`the new certificate of the API is not used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }, everyMs);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}
