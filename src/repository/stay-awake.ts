/** Sleeps of the system's clock keep no process alive. Who has nothing else to go on with waits by this, or the process ends in the middle. */
export async function stayAwake(sleep: Promise<void>): Promise<void> {
  const timer = setInterval(() => undefined, 2 ** 30);
  try {
    await sleep;
  } finally {
    clearInterval(timer);
  }
}
