/** Retention decides as restic's `forget` does, for the same reasons, on generated histories. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Decision, decideRetention, type RetentionPolicy } from '../../src/engine/maintenance/retention.ts';
import { encodeSnapshot } from '../../src/format/snapshot-file.ts';
import type { StoredSnapshot } from '../../src/model/snapshot.ts';
import { formatSpan, parseSpan, type Span } from '../../src/model/span.ts';
import { sealJsonFile } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { type Restic, requireRestic, scratch } from '../peers.ts';
import { documents, run } from '../programs.ts';
import { fc } from '../properties.ts';
import { scratchPassword, scratchRepository } from '../scratch-repository.ts';
import { aSnapshot, history, noRules, policy } from '../snapshot-histories.ts';

const histories = 300;
const seed = 20_261_122;

/** A repository of many histories, each of its own host; nothing but snapshot files, which is all that restic's `forget` reads. */
async function repositoryOfHistories(t: TestContext): Promise<{ folder: string; passwordFile: string; snapshots: StoredSnapshot[] }> {
  const repository = await scratchRepository(t);
  const groups = fc.sample(history({ nowMs: Date.now() }), { numRuns: histories, seed });
  for (const [number, moments] of groups.entries()) {
    for (const { time, tags } of moments) {
      const { name, sealed } = sealJsonFile(repository, encodeSnapshot(aSnapshot({ time, tags, hostname: `host-${number}` })));
      writeFileSync(join(repository.folder, 'snapshots', name), sealed);
    }
  }
  const passwordFile = join(scratch(t), 'password');
  writeFileSync(passwordFile, scratchPassword);
  return { folder: repository.folder, passwordFile, snapshots: await listSnapshots(repository) };
}

/** restic's short spans have no `w` and call months `m`. */
const resticSpan = (span: Span): string => formatSpan(span).replace('mo', 'm');

function flags(asked: RetentionPolicy): string[] {
  const given: string[] = [];
  for (const rule of ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const) {
    if (asked[rule] !== 0) given.push(`--keep-${rule}=${asked[rule] === -1 ? 'unlimited' : asked[rule]}`);
  }
  for (const rule of ['within', 'withinHourly', 'withinDaily', 'withinWeekly', 'withinMonthly', 'withinYearly'] as const) {
    const span = asked[rule];
    if (span !== undefined) given.push(`--keep-${rule.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}=${resticSpan(span)}`);
  }
  return [...given, ...asked.tags.map((tag) => `--keep-tag=${tag}`)];
}

/** restic's words for why. */
function inResticsWords(reason: string): string {
  const [, oldest = '', rule, , span] =
    /^(oldest )?(last|hourly|daily|weekly|monthly|yearly|within|tag)( (?!within)\S+(?: \d\dh)?)?(?: within (\S+))?$/.exec(reason) ?? [];
  const words = reason.replace('mo', 'm');
  if (rule === 'tag') return `has tags [${reason.slice(4).split(',').join(', ')}]`;
  if (rule === 'within') return words;
  return span === undefined ? `${oldest}${rule} snapshot` : `${oldest}${rule} within ${span.replace('mo', 'm')}`;
}

type Verdict = { time: string; reasons: string[] | undefined };

/** Of snapshots of one instant restic takes any order: what is compared is what becomes of such a time. */
const inOrder = (verdicts: Verdict[]): string[] => verdicts.map((verdict) => JSON.stringify(verdict)).sort();

/** restic kept the oldest for rules that have some left only from 0.16 on. */
const reasonsKnownTo = ({ name }: Restic, reasons: string[]) =>
  reasons.filter((reason) => name === 'newest' || !reason.startsWith('oldest'));

function ours(decisions: readonly Decision[], restic: Restic): Map<string, string[]> {
  const byHost = Map.groupBy(decisions, ({ snapshot }) => snapshot.hostname);
  const verdict = ({ snapshot, keep, reasons }: Decision) => {
    const known = keep ? reasonsKnownTo(restic, reasons.map(inResticsWords)).sort() : [];
    return { time: snapshot.time, reasons: known.length > 0 ? known : undefined };
  };
  return new Map([...byHost].map(([host, of]) => [host, inOrder(of.map(verdict))]));
}

// biome-ignore lint/suspicious/noExplicitAny: restic's document
function theirs(groups: any[]): Map<string, string[]> {
  return new Map(
    groups.map(({ host, remove, reasons }) => {
      // biome-ignore lint/suspicious/noExplicitAny: restic's document
      const kept = (reasons ?? []).map(({ snapshot, matches }: any) => ({
        time: snapshot.time,
        reasons: matches.sort(),
      }));
      // biome-ignore lint/suspicious/noExplicitAny: restic's document
      return [host, inOrder([...kept, ...(remove ?? []).map(({ time }: any) => ({ time, reasons: undefined }))])];
    }),
  );
}

/** Rules that a version of restic doesn't have. */
function supported(asked: RetentionPolicy, { name }: Restic): RetentionPolicy {
  if (name === 'newest') return asked;
  const limited = (count: number) => (count === -1 ? 1000 : count);
  const { last, hourly, daily, weekly, monthly, yearly } = asked;
  return {
    ...asked,
    last: limited(last),
    hourly: limited(hourly),
    daily: limited(daily),
    weekly: limited(weekly),
    monthly: limited(monthly),
    yearly: limited(yearly),
  };
}

const none: RetentionPolicy = { ...noRules, manualMs: 0 };
const spans = (text: string) => parseSpan(text) as Span;
const chosen: RetentionPolicy[] = [
  { ...none, last: 1, hourly: 24, daily: 7, weekly: 4, monthly: 12 },
  { ...none, within: spans('1mo') },
  { ...none, daily: -1, withinHourly: spans('3d'), withinYearly: spans('9y') },
];

for (const name of ['stock', 'newest'] as const) {
  test(`decides as ${name} restic does, for the same reasons`, async (t) => {
    const restic = requireRestic(t, name);
    if (!restic) return;
    const { folder, passwordFile, snapshots } = await repositoryOfHistories(t);
    const policies = [...chosen, ...fc.sample(policy(), { numRuns: 9, seed })].map((asked) => supported(asked, restic));
    let compared = 0;
    for (const asked of policies) {
      const args = ['--repo', folder, '--password-file', passwordFile, '--no-cache', 'forget', '--json', '--dry-run', ...flags(asked)];
      const said = run(restic.path, args, { environment: { TZ: 'UTC' } });
      const expected = theirs(documents(said.stdout)[0]);
      const decided = ours(
        decideRetention(snapshots, () => asked, new Date()),
        restic,
      );
      assert.equal(decided.size, expected.size);
      for (const [host, verdicts] of expected) {
        assert.deepEqual(decided.get(host), verdicts, `${host} with ${flags(asked).join(' ')}`);
        compared++;
      }
    }
    t.diagnostic(
      `${compared} histories, ${snapshots.length} snapshots, ${policies.length} policies: restic ${restic.version} decides alike`,
    );
  });
}
