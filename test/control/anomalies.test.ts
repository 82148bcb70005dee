/** Volumes to which the worst happens, backed up for real: alerts are raised, and retention keeps what was good. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { observe } from '../../src/control/alerts/observe.ts';
import { step } from '../../src/control/alerts/step.ts';
import { loadConfiguration } from '../../src/control/configuration/load.ts';
import { refreshEvidence } from '../../src/control/evidence/read-evidence.ts';
import { assess } from '../../src/control/objectives/assess.ts';
import { createEvidenceTable } from '../../src/control/state/evidence-table.ts';
import { openState } from '../../src/control/state/state.ts';
import { exitCodes } from '../../src/model/errors.ts';
import { inputsOf } from '../assessed-project.ts';
import { commandLine } from '../command-line.ts';
import { scratch } from '../peers.ts';

const files = 100;
const quietDays = 6;
const slowDays = 6;
/** At the fourth of five percent each, a fifth is gone; what is allowed of a backup may take one more. */
const found = { atOnce: quietDays, slow: [quietDays + 3, quietDays + 4] };

const text = (seed: string) => Array.from({ length: 400 }, (_, i) => `line ${i} of an ordinary text, ${seed}\n`).join('');
const nameOf = (i: number) => `folder${i % 7}/document-${i}.${['txt', 'docx', 'md'][i % 3]}`;

/** Overwrites a file with what does not compress, as long as it was. */
function encrypt(folder: string, name: string, renamed?: string): void {
  const path = join(folder, name);
  writeFileSync(path, randomBytes(readFileSync(path).length));
  if (renamed !== undefined) renameSync(path, path + renamed);
}

const disasters: Record<string, (folder: string, day: number) => void> = {
  ransomed: (folder, day) => {
    if (day === quietDays) for (let i = 0; i < 0.6 * files; i++) encrypt(folder, nameOf(i), '.locked');
  },
  unknown: (folder, day) => {
    if (day === quietDays) for (let i = 0; i < 0.6 * files; i++) encrypt(folder, nameOf(i), `.x${randomBytes(3).toString('hex')}`);
  },
  'slowly-renamed': (folder, day) => {
    for (let i = 5 * (day - quietDays); i < 5 * (day - quietDays + 1); i++) encrypt(folder, nameOf(i), '.qa81zk');
  },
  'slowly-in-place': (folder, day) => {
    for (let i = 6 * (day - quietDays); i < 6 * (day - quietDays + 1); i++) encrypt(folder, nameOf(i));
  },
  // Begun anew by its application: what it held is gone.
  wiped: (folder, day) => {
    if (day !== quietDays) return;
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    for (const name of ['PG_VERSION', 'postgresql.conf']) writeFileSync(join(folder, name), text(name));
  },
  'full-of-logs': (folder, day) => {
    if (day === quietDays)
      for (let i = 0; i < 80; i++) appendFileSync(join(folder, 'debug.log'), Buffer.alloc(1024 * 1024, `error ${i}\n`));
  },
  ordinary: (folder, day) => {
    writeFileSync(join(folder, `upload-${day}.jpg`), randomBytes(20_000));
    renameSync(join(folder, nameOf(day)), join(folder, `archived-${day}.txt`));
  },
};
const volumes = Object.keys(disasters);

test('what happens to volumes raises alerts on its day, and the brake keeps what was good', async (t) => {
  const folder = scratch(t);
  const holdfast = commandLine(folder);
  for (const volume of volumes) {
    for (let i = 0; i < 7; i++) mkdirSync(join(folder, volume, `folder${i}`), { recursive: true });
    for (let i = 0; i < files; i++) writeFileSync(join(folder, volume, nameOf(i)), text(`${i} of ${volume}`));
  }
  assert.equal((await holdfast('init', ...volumes.flatMap((name) => ['--volume', `${name}=${name}`]))).exit, exitCodes.done);
  const file = join(folder, 'holdfast.yaml');
  const retention = 'retention: { last: 2, hourly: 0, daily: 0, weekly: 0, monthly: 0 }';
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^retention:.*$/m, retention));
  const configuration = await loadConfiguration(file);
  const repository = configuration.repositories[0]?.name as string;
  const state = openState(':memory:');
  t.after(() => state.close());
  const evidence = createEvidenceTable(state);
  /** Snapshots as the daemon's jobs list them; then the alerts that it would raise. */
  const raised = async () => {
    await refreshEvidence(evidence, repository, configuration.project, async function* (_, known) {
      writeFileSync(join(folder, 'known'), known.map((id) => `${id}\n`).join(''));
      const { exit, stdout } = await holdfast('snapshots', '--json', '--all', '--except', 'known');
      assert.equal(exit, exitCodes.done);
      yield* stdout.trimEnd().split('\n');
    });
    const nowMs = Date.now();
    const { jobs } = inputsOf();
    const assessment = assess({ ...inputsOf(), evidence, configuration, nowMs });
    const observed = observe({
      ...{ assessment, configuration, jobs, newest: () => [], startedMs: nowMs, nowMs },
      ...{ refused: undefined, undelivered: [] },
    });
    return step([], observed, nowMs, { atRiskMs: 0, quietMs: 0 }).notices.flatMap(({ alert: { kind, subject, message } }) =>
      kind === 'anomaly' && subject.kind === 'volume' ? [{ volume: subject.name, message }] : [],
    );
  };

  const firstRaised = new Map<string, { day: number; message: string }>();
  for (let day = 0; day < quietDays + slowDays; day++) {
    for (const volume of volumes) {
      appendFileSync(join(folder, volume, 'diary'), `day ${day}\n`);
      if (day >= quietDays) disasters[volume]?.(join(folder, volume), day);
    }
    const { exit, stderr } = await holdfast('backup', '--class', 'scheduled');
    assert.equal(exit, exitCodes.done, stderr);
    // Of quiet days all are judged with the last of them.
    for (const { volume, message } of day < quietDays - 1 ? [] : await raised())
      if (!firstRaised.has(volume)) firstRaised.set(volume, { day, message });
  }

  const dayOf = (volume: string) => firstRaised.get(volume)?.day ?? -1;
  for (const volume of ['ransomed', 'unknown', 'wiped', 'full-of-logs']) assert.equal(dayOf(volume), found.atOnce, volume);
  for (const volume of ['slowly-renamed', 'slowly-in-place']) assert.ok(found.slow.includes(dayOf(volume)), `${volume}: ${dayOf(volume)}`);
  assert.deepEqual(firstRaised.get('ordinary'), undefined);
  assert.match(firstRaised.get('ransomed')?.message ?? '', /59% of its files became \.locked since .* \(as ransomware leaves them\)/);
  assert.match(firstRaised.get('unknown')?.message ?? '', /of its files (became \.x|got extensions that nobody knows)/);
  assert.match(firstRaised.get('slowly-in-place')?.message ?? '', /overwritten by data that does not compress/);

  const { stdout } = await holdfast('forget', '--dry-run', '--json');
  type Line = { volume?: string; action: string; held: boolean; suspicion?: { kind: string } };
  const decided = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  for (const volume of volumes.filter((name) => name !== 'full-of-logs' && name !== 'ordinary')) {
    const ofVolume = decided.filter((line) => line.volume === volume);
    const good = ofVolume.filter(({ suspicion, action }) => suspicion === undefined && action === 'keep');
    assert.equal(good.length, 2, volume);
    assert.ok(
      good.every(({ held }) => held),
      volume,
    );
  }
  assert.ok(decided.filter(({ volume }) => volume === 'ordinary').every(({ held }) => !held));
  // Whatever is encrypted, the last that was good is as it was.
  assert.ok(readdirSync(join(folder, 'ransomed', 'folder0')).some((name) => name.endsWith('.locked')));
});
