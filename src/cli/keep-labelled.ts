/** A daemon's project: what is written of it, completed by what an Engine's labels said last, also while no Engine answers. */
import type { Configuration } from '../control/configuration/configuration.ts';
import type { Daemon } from '../control/daemon.ts';
import { type LabelledVolumes, labelledFact, withLabelled } from '../control/discovery/labelled.ts';

export type LabelledKeeper = {
  /** As holdfast.yaml has it. */
  written(): Configuration;
  known(): LabelledVolumes;
  /** The file says something else now. */
  configure(written: Configuration): void;
  /** An Engine has told what labels there are. What cannot be kept in the state is in effect all the same. @throws what writing the state throws. */
  learn(known: LabelledVolumes): void;
};

/** @param written of which the daemon was made, as {@link withLabelled} completes it by what is in the state. */
export function keepLabelled(daemon: Pick<Daemon, 'configure' | 'facts'>, written: Configuration): LabelledKeeper {
  let file = written;
  let known = daemon.facts.get<LabelledVolumes>(labelledFact) ?? [];
  return {
    written: () => file,
    known: () => known,
    configure(next) {
      file = next;
      daemon.configure(withLabelled(next, known));
    },
    learn(next) {
      known = next;
      daemon.configure(withLabelled(file, known), 'labels');
      daemon.facts.set(labelledFact, known);
    },
  };
}
