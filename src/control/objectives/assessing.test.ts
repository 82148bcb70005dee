import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, dayMs, hourMs, jobOf, minuteMs, nowMs, snapshotOf } from '../../../test/assessed-project.ts';
import { fc } from '../../../test/properties.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { Job, JobSpec } from '../jobs/job.ts';
import { createEvidenceTable } from '../state/evidence-table.ts';
import { createJobTable } from '../state/job-table.ts';
import { createFacts, createUsageTable } from '../state/log-tables.ts';
import { openState } from '../state/state.ts';
import { type AssessmentInputs, assess, atOnce, createAssessing } from './assess.ts';

const volumes = ['one', 'two', 'three'];
const repositories = ['local', 'offsite'];

function aConfiguration(rpoMs: number): Configuration {
  const daily = { at: { kind: 'every' as const, everyMs: dayMs }, jitterMs: 0, priority: 1, deadlineMs: hourMs, attempts: 1 };
  return configurationOf({
    volumes,
    volume: { objectives: { rpoMs, rtoMs: hourMs }, sizeBytes: 2 ** 32 },
    maintenance: { forget: undefined, check: { ...daily, rereadMs: 3 * dayMs }, usage: undefined },
    drills: daily,
    repositories: repositories.map((name) => ({ name, maintenance: true })) as never,
    schedules: [...configurationOf().schedules, { name: 'copy', ...daily, action: { kind: 'copy', from: 'local', to: 'offsite' } }],
  });
}

/** Things happen at an instant. */
type Happening =
  | { what: 'snapshots'; volume: number; repository: number; count: number; stepMs: number; bytes: number; churns: boolean; torn: boolean }
  | { what: 'gone'; keepEvery: number; repository: number }
  | { what: 'job'; kind: JobSpec['kind']; repository: number; named: boolean; ends: string; good: boolean }
  | { what: 'usage'; volume: number; bytes: number }
  | { what: 'unseen'; repository: number; isSeen: boolean }
  | { what: 'configured'; rpoMs: number };

const place = (of: readonly unknown[]) => fc.nat(of.length - 1);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('snapshots' as const),
      volume: place(volumes),
      repository: place(repositories),
      count: fc.integer({ min: 1, max: 12 }),
      stepMs: fc.constantFrom(minuteMs, hourMs, 5 * hourMs, 3 * dayMs),
      bytes: fc.constantFrom(0, 2 ** 20, 2 ** 30, 2 ** 31),
      churns: fc.boolean(),
      torn: fc.boolean(),
    }),
  },
  fc.record({ what: fc.constant('gone' as const), keepEvery: fc.integer({ min: 1, max: 4 }), repository: place(repositories) }),
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('job' as const),
      kind: fc.constantFrom('backup', 'backup', 'check', 'check', 'check', 'drill', 'copy', 'forget'),
      repository: place(repositories),
      named: fc.boolean(),
      ends: fc.constantFrom('succeeded', 'incomplete', 'failed', 'cancelled', 'running', 'queued'),
      good: fc.boolean(),
    }),
  },
  fc.record({ what: fc.constant('usage' as const), volume: place(volumes), bytes: fc.nat(2 ** 31) }),
  fc.record({ what: fc.constant('unseen' as const), repository: place(repositories), isSeen: fc.boolean() }),
  fc.record({ what: fc.constant('configured' as const), rpoMs: fc.constantFrom(hourMs, dayMs) }),
);
const passing = fc.constantFrom(0, 5_000, 10 * minuteMs, hourMs, 11 * hourMs, 8 * dayMs, -minuteMs, -3 * hourMs, -2 * dayMs);

function aProject() {
  const state = openState(':memory:');
  const [evidence, jobs, usage, facts] = [createEvidenceTable(state), createJobTable(state), createUsageTable(state), createFacts(state)];
  let configuration = aConfiguration(hourMs);
  let made = 0;
  const pending: string[] = [];

  function specOf({ kind, named, repository: at }: Extract<Happening, { what: 'job' }>): JobSpec {
    const repository = repositories[at] as string;
    if (kind === 'copy') return { kind, from: 'local', to: 'offsite' };
    if (kind === 'check') return { kind, repository, part: (made % 3) + 1, parts: named ? 3 : 1 };
    if (kind === 'backup') return { kind, repository, class: 'scheduled', ...(named ? { volumes: ['two'] } : {}) };
    return kind === 'usage' ? { kind } : { kind, repository };
  }

  function happen(one: Happening, atMs: number): void {
    switch (one.what) {
      case 'snapshots': {
        const [volume, repository] = [volumes[one.volume] as string, repositories[one.repository] as string];
        const snapshots = Array.from({ length: one.count }, (_, i) => {
          const timeMs = atMs - (one.count - 2 - i) * one.stepMs;
          const bytes = one.bytes + (i * one.bytes) / 64;
          const addedBytes = one.churns ? bytes : bytes / 128;
          const filesChanged = one.churns ? 1_000 : 5;
          const more = {
            bytes: one.bytes,
            addedBytes,
            filesChanged,
            consistency: one.torn && i % 2 ? ('torn' as const) : ('crash' as const),
          };
          return snapshotOf({ id: `s${made++}`, parent: `s${made - 2}`, volume, repository, timeMs, begunMs: timeMs, ...more });
        });
        return evidence.add(snapshots);
      }
      case 'gone': {
        const ids = [...evidence.ids(repositories[one.repository] as string)];
        return evidence.remove(
          repositories[one.repository] as string,
          ids.filter((_, i) => i % one.keepEvery !== 0),
        );
      }
      case 'job': {
        for (const id of pending.splice(0)) jobs.update({ ...(jobs.get(id) as Job), state: 'failed', endedMs: atMs });
        const id = `j${String(made++).padStart(6, '0')}`;
        const isOver = one.ends !== 'running' && one.ends !== 'queued';
        const snapshot = evidence.list().at(-1)?.id ?? 'none';
        const drilled = { volume: 'one', snapshot, bytes: 2 ** 30, files: 100, durationMs: minuteMs, verified: one.good };
        const found = one.good ? {} : { findings: { 'blob-damaged': 1 }, ...(one.named ? { affected: [snapshot] } : {}) };
        if (!isOver) pending.push(id);
        jobs.add(
          jobOf({
            id,
            spec: specOf(one),
            state: one.ends as never,
            startedMs: one.ends === 'queued' ? undefined : atMs - minuteMs,
            endedMs: isOver ? atMs : undefined,
            result: isOver ? { snapshots: [], warnings: 0, ...(one.kind === 'drill' ? { drilled: [drilled] } : found) } : undefined,
          }),
        );
        return;
      }
      case 'usage':
        return usage.add([{ volume: volumes[one.volume] as string, atMs, bytes: one.bytes, files: 10, capacityBytes: 2 ** 32 }]);
      case 'unseen':
        return facts.set(`${one.isSeen ? 'seen' : 'unseen'} ${repositories[one.repository]}`, { atMs, message: 'refused' });
      case 'configured':
        configuration = aConfiguration(one.rpoMs);
    }
  }
  const inputs = (atMs: number): AssessmentInputs => ({ configuration, nowMs: atMs, startedMs: 0, evidence, jobs, usage, facts });
  return { state, happen, inputs };
}

/** By tables that have read nothing, and a configuration that nobody has seen. */
function afresh(state: ReturnType<typeof aProject>['state'], { configuration, ...more }: AssessmentInputs) {
  const tables = { evidence: createEvidenceTable(state), jobs: createJobTable(state), usage: createUsageTable(state) };
  return assess({ ...more, ...tables, configuration: structuredClone(configuration) });
}

test('what is assessed bit by bit is what is assessed as a whole, whatever happens and however clocks go', () => {
  const history = fc.array(fc.record({ passes: passing, happens: fc.array(happening, { maxLength: 3 }) }), { minLength: 3, maxLength: 12 });
  fc.assert(
    fc.property(history, (steps) => {
      const project = aProject();
      const assessing = createAssessing();
      let atMs = nowMs;
      for (const { passes, happens } of steps) {
        atMs += passes;
        for (const one of happens) project.happen(one, atMs);
        const whole = afresh(project.state, project.inputs(atMs));
        assert.deepEqual(atOnce(assessing(project.inputs(atMs))), whole);
      }
      project.state.close();
    }),
    { numRuns: 60 },
  );
});

test('an assessment in steps is of the instant at which it began', () => {
  fc.assert(
    fc.property(
      fc.array(happening, { minLength: 3, maxLength: 10 }),
      fc.array(happening, { minLength: 1, maxLength: 5 }),
      (before, then) => {
        const project = aProject();
        const assessing = createAssessing();
        for (const one of before) project.happen(one, nowMs);
        const whole = afresh(project.state, project.inputs(nowMs));
        const steps = assessing(project.inputs(nowMs));
        steps.next();
        for (const one of then) project.happen(one, nowMs + minuteMs);
        const later = atOnce(assessing(project.inputs(nowMs + minuteMs)));
        assert.deepEqual(atOnce(steps), whole);
        assert.deepEqual(later, afresh(project.state, project.inputs(nowMs + minuteMs)));
        assert.deepEqual(atOnce(assessing(project.inputs(nowMs + minuteMs))), later);
        project.state.close();
      },
    ),
    { numRuns: 30 },
  );
});
