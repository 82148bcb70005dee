import { setImmediate } from 'node:timers/promises';
import { type Assessing, type AssessmentInputs, atOnce, createAssessing } from './assess.ts';
import type { ProjectAssessment } from './assessment.ts';

/** What is thought of a project, for all who ask. */
export type Assessor = {
  /** As it was some seconds ago at most. */
  current(): ProjectAssessment;
  /** As it is from now on: what has changed is judged a little at a time, so that all else goes on meanwhile. */
  renew(): Promise<ProjectAssessment>;
  /** What was thought says nothing any more. */
  forget(): void;
};

/** So long an assessment is good for. */
const goodForMs = 5_000;
/** So long nothing else is done. */
const sliceMs = 8;

/** @param inputs all that is known now. @param assess instead of what is thought of it: a test's own. */
export function createAssessor(inputs: () => AssessmentInputs, assess?: (inputs: AssessmentInputs) => ProjectAssessment): Assessor {
  const assessing = assess === undefined ? createAssessing() : inOneStep(assess);
  let known: ProjectAssessment | undefined;
  /** How often something else has come to be known than by slices. */
  let changes = 0;
  let underWay: Promise<ProjectAssessment> | undefined;
  let next: Promise<ProjectAssessment> | undefined;

  function current(): ProjectAssessment {
    const asked = inputs();
    if (known === undefined || asked.nowMs - known.atMs >= goodForMs || asked.nowMs < known.atMs) {
      known = atOnce(assessing(asked));
      changes++;
    }
    return known;
  }

  async function inSlices(): Promise<ProjectAssessment> {
    const before = changes;
    const steps = assessing(inputs());
    for (let sinceMs = performance.now(); ; ) {
      const { done, value } = steps.next();
      if (done) {
        // Somebody asked meanwhile, when what was known was too old, or it is another project now.
        if (changes !== before) return current();
        known = value;
        return known;
      }
      if (performance.now() - sinceMs < sliceMs) continue;
      await setImmediate();
      sinceMs = performance.now();
    }
  }

  const renew = (): Promise<ProjectAssessment> => {
    if (underWay === undefined) {
      underWay = inSlices().finally(() => {
        underWay = undefined;
      });
      return underWay;
    }
    // What it is made of was read before what has changed now.
    next ??= underWay
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return renew();
      });
    return next;
  };

  return {
    current,
    renew,
    forget() {
      known = undefined;
      changes++;
    },
  };
}

function inOneStep(assess: (inputs: AssessmentInputs) => ProjectAssessment): (inputs: AssessmentInputs) => Assessing {
  return function* (inputs) {
    yield;
    return assess(inputs);
  };
}
