/** A storage that fails on purpose: the n-th operation of a run, counted over all threads. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { type ErrorCode, HoldfastError } from '../../src/model/errors.ts';
import type { FileKind, FileRef, Storage } from '../../src/storage/storage.ts';

/**
 * `before` any effect; `after` the effect, as when the reply is lost; `halfway`, with part of the content in a temporary file that
 * nobody removes.
 */
export type FaultWhen = 'before' | 'after' | 'halfway';
export type Fault = { operation: number; when: FaultWhen; code: ErrorCode };
/** What was asked of a storage: `write data`, `list locks`, ... */
export type Operation = `${'list' | 'read' | 'sizeOf' | 'write' | 'remove'} ${FileKind}`;

const environmentKey = 'holdfast-faults';
const operationNames: readonly Operation[] = (['list', 'read', 'sizeOf', 'write', 'remove'] as const).flatMap((operation) =>
  (['config', 'keys', 'locks', 'snapshots', 'index', 'data'] as const).map((kind) => `${operation} ${kind}` as Operation),
);
const maxOperations = 10_000;

type Shared = { fault: Fault | undefined /** The count, then what each operation was. */; log: SharedArrayBuffer };

/** Begins to count; storages of this thread and of threads started from now on fail as said. @returns the log of operations. */
export function injectFault(fault: Fault | undefined): { operations: () => Operation[] } {
  const log = new SharedArrayBuffer((maxOperations + 1) * 4);
  setEnvironmentData(environmentKey, { fault, log } satisfies Shared as never);
  return {
    operations() {
      const words = new Int32Array(log);
      return Array.from(words.subarray(1, 1 + (words[0] as number)), (word) => operationNames[word] as Operation);
    },
  };
}

/** @param root of the local storage that is wrapped, for half-written files. */
export function withFaults(storage: Storage, root: string): Storage {
  const { fault, log } = getEnvironmentData(environmentKey) as unknown as Shared;
  const words = new Int32Array(log);

  async function perform<Result>(name: Operation, effect: () => Promise<Result>, halfway: () => void = () => undefined): Promise<Result> {
    const number = Atomics.add(words, 0, 1);
    words[1 + number] = operationNames.indexOf(name);
    if (number !== fault?.operation) return effect();
    if (fault.when === 'after') await effect();
    if (fault.when === 'halfway') halfway();
    throw new HoldfastError(fault.code, `injected: ${name} failed ${fault.when}`);
  }

  return {
    location: storage.location,
    create: () => storage.create(),
    async *list(kind) {
      await perform(`list ${kind}`, async () => undefined);
      yield* storage.list(kind);
    },
    read: (file, range) => perform(`read ${file.kind}`, () => storage.read(file, range)),
    sizeOf: (file) => perform(`sizeOf ${file.kind}`, () => storage.sizeOf(file)),
    write: (file, parts) =>
      perform(
        `write ${file.kind}`,
        () => storage.write(file, parts),
        () => writeHalf(root, file, parts),
      ),
    remove: (file) => perform(`remove ${file.kind}`, () => storage.remove(file)),
    removeLeftovers: async (olderThanMs) => storage.removeLeftovers?.(olderThanMs),
  };
}

function writeHalf(root: string, { kind, name }: FileRef, parts: readonly Uint8Array[]): void {
  const content = Buffer.concat(parts);
  const path = kind === 'data' ? join(root, kind, name.slice(0, 2), name) : join(root, kind, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}-tmp-${randomBytes(6).toString('hex')}`, content.subarray(0, content.length >> 1));
}
