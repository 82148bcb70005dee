/** A storage that fails on purpose: the n-th operation of a kind, or any by chance. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { type ErrorCode, HoldfastError } from '../../src/model/errors.ts';
import type { FileKind, FileRef, PendingFile, Storage } from '../../src/storage/storage.ts';
import { randomNumbers } from './project.ts';

/**
 * `before` any effect; `after` the effect, as when the reply is lost; `halfway`, with part of the content in a temporary file that
 * nobody removes.
 */
export type FaultWhen = 'before' | 'after' | 'halfway';
export type Fault = {
  operation: Operation;
  /** Counted from 0, over all threads. */
  nth: number;
  when: FaultWhen;
  code: ErrorCode;
  /** All operations of the kind fail from the n-th on. */
  lasting?: boolean;
};
/** Every operation fails with this probability, with the code `storage`. Which do is the same whenever as many of its kind went before. */
export type Chance = { rate: number; seed: number };
const operationKinds = ['list', 'read', 'sizeOf', 'write', 'begin', 'append', 'commit', 'remove'] as const;
/** What was asked of a storage: `write data`, `list locks`, ... */
export type Operation = `${(typeof operationKinds)[number]} ${FileKind}`;

const environmentKey = 'holdfast-faults';
const operationNames: readonly Operation[] = operationKinds.flatMap((operation) =>
  (['config', 'keys', 'locks', 'snapshots', 'index', 'data'] as const).map((kind) => `${operation} ${kind}` as Operation),
);

/** `counts`: how often a fault has struck, then how often each operation was asked for. */
type Shared = { fault: Fault | Chance | undefined; counts: SharedArrayBuffer };

export type FaultLog = { struck: () => number; counts: () => Map<Operation, number> };

/** Begins to count; storages of this thread and of threads started from now on fail as said. */
export function injectFault(fault: Fault | Chance | undefined): FaultLog {
  const counts = new SharedArrayBuffer((1 + operationNames.length) * 4);
  setEnvironmentData(environmentKey, { fault, counts } satisfies Shared as never);
  const words = new Int32Array(counts);
  return {
    struck: () => words[0] as number,
    counts: () => new Map(operationNames.map((name, i) => [name, words[1 + i] as number] as const).filter(([, count]) => count > 0)),
  };
}

/** @param root of the local storage that is wrapped, for half-written files. */
export function withFaults(storage: Storage, root: string): Storage {
  const { fault, counts } = getEnvironmentData(environmentKey) as unknown as Shared;
  const words = new Int32Array(counts);

  async function perform<Result>(name: Operation, effect: () => Promise<Result>, halfway: () => void = () => undefined): Promise<Result> {
    const number = operationNames.indexOf(name);
    const nth = Atomics.add(words, 1 + number, 1);
    const struck = strike(fault, name, number, nth);
    if (struck === undefined) return effect();
    Atomics.add(words, 0, 1);
    if (struck.when === 'after') await effect();
    if (struck.when === 'halfway') halfway();
    throw new HoldfastError(struck.code, `injected: ${name} failed ${struck.when}`);
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
    ...(storage.begin === undefined ? {} : { begin: () => perform('begin data', () => beginWithFaults(storage, perform)) }),
    removeLeftovers: async (olderThanMs) => storage.removeLeftovers?.(olderThanMs),
  };
}

const ways: readonly FaultWhen[] = ['before', 'after', 'halfway'];

/** How the n-th operation of a kind fails; undefined when it does not. */
function strike(fault: Fault | Chance | undefined, name: Operation, number: number, nth: number): Pick<Fault, 'when' | 'code'> | undefined {
  if (fault === undefined) return undefined;
  if ('operation' in fault) return name === fault.operation && (fault.lasting ? nth >= fault.nth : nth === fault.nth) ? fault : undefined;
  const random = randomNumbers(fault.seed + number * 1_000_003 + nth * 7919);
  if (random() >= fault.rate) return undefined;
  return { when: ways[Math.floor(random() * ways.length)] as FaultWhen, code: 'storage' };
}

type Perform = <Result>(name: Operation, effect: () => Promise<Result>) => Promise<Result>;

async function beginWithFaults(storage: Storage, perform: Perform): Promise<PendingFile> {
  const file = await (storage.begin as NonNullable<Storage['begin']>)();
  return {
    append: (bytes) => perform('append data', () => file.append(bytes)),
    commit: (name) => perform('commit data', () => file.commit(name)),
    discard: () => file.discard(),
  };
}

function writeHalf(root: string, { kind, name }: FileRef, parts: readonly Uint8Array[]): void {
  const content = Buffer.concat(parts);
  const path = kind === 'data' ? join(root, kind, name.slice(0, 2), name) : join(root, kind, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}-tmp-${randomBytes(6).toString('hex')}`, content.subarray(0, content.length >> 1));
}
