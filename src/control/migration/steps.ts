/** Steps that are noted durably, so that what was killed goes on with the one that it had begun. */

/** What each step does; it returns what is to be noted with it. Each is repeated when it may have been interrupted, and does no harm then. */
export type StepActions<Step extends string, Journal> = Record<Step, (journal: Journal) => Promise<Partial<Journal>>>;

export type StepsOptions<Step extends string, Journal extends { done: Step | undefined }> = {
  /** In their order. */
  steps: readonly Step[];
  begun: Journal;
  actions: StepActions<Step, Journal>;
  /** Told of each step as it begins. */
  onStep: (step: Step) => void;
  /** Durable when it returns. */
  write(journal: Journal): Promise<void>;
};

/** Does the steps that are not done yet, each durably noted before the next one begins. @throws what a step throws. */
export async function carryOnSteps<Step extends string, Journal extends { done: Step | undefined }>({
  steps,
  begun,
  actions,
  onStep,
  write,
}: StepsOptions<Step, Journal>): Promise<Journal> {
  let journal = begun;
  const first = begun.done === undefined ? 0 : steps.indexOf(begun.done) + 1;
  for (const step of steps.slice(first)) {
    onStep(step);
    journal = { ...journal, ...(await actions[step](journal)), done: step };
    await write(journal);
  }
  return journal;
}
