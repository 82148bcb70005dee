/** V8 that collects often and keeps little: what runs for months beside other programs should be small before it is quick. */
const flags = ['--optimize-for-size', '--max-semi-space-size=1'];

/**
 * Begins this process anew, with the same id and files, where its heap is not kept small yet; then it does not return. V8 takes these flags at its start only.
 * Systems that cannot do that go on as they are.
 */
export function keepHeapSmall(): void {
  const { execArgv, execPath, argv, env } = process;
  if (process.execve === undefined || flags.every((flag) => execArgv.includes(flag))) return;
  process.execve(execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], env);
}
