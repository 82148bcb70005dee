/** Lets so many tasks work at a time; the others wait, first come, first served. */
export function takeTurns(atOnce: number): <Result>(task: () => Promise<Result>) => Promise<Result> {
  let working = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (working >= atOnce) await new Promise<void>((begin) => waiting.push(begin));
    else working++;
    try {
      return await task();
    } finally {
      // The turn is handed on, so that nobody slips in between.
      const next = waiting.shift();
      if (next === undefined) working--;
      else next();
    }
  };
}
