/**
 * Works until the abort, with others beside it. When it ends or fails before that, the others end too: a process that cannot do what it is for
 * must not stay because they do. One of the others that fails is told of, and keeps nobody from going on.
 * @throws what the work throws, when all have ended.
 */
export async function runBeside(
  work: (signal: AbortSignal) => Promise<void>,
  others: readonly ((signal: AbortSignal) => Promise<void>)[],
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<void> {
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  const working = work(both).finally(() => over.abort());
  await Promise.allSettled([working, ...others.map((other) => other(both).catch(onFailure))]);
  await working;
}
