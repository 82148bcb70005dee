/** Retention on the command line: restic's `--keep-...` options. */
import type { Command as CommanderCommand } from 'commander';
import {
  type CountRule,
  countRules,
  keepsNothing,
  type RetentionPolicy,
  type SpanRule,
  spanRules,
} from '../engine/maintenance/retention.ts';
import { HoldfastError } from '../model/errors.ts';
import { parseDuration } from '../model/quantities.ts';
import { parseSpan, type Span } from '../model/span.ts';
import { collect } from './snapshot-filter.ts';

export type KeepOptions = { [Rule in CountRule | SpanRule | 'manual' as `keep${Capitalize<Rule>}`]?: string } & { keepTag?: string[] };

const kebab = (rule: string) => rule.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
const optionOf = (rule: CountRule | SpanRule) => `--keep-${kebab(rule)}`;
const given = (options: KeepOptions, rule: CountRule | SpanRule): string | undefined =>
  options[`keep${rule[0]?.toUpperCase()}${rule.slice(1)}` as keyof Omit<KeepOptions, 'keepTag'>];

export function configureKeep(commander: CommanderCommand): void {
  commander.option('--keep-last <n>', 'keep the newest n (`unlimited`: all)');
  for (const unit of ['hour', 'day', 'week', 'month', 'year']) {
    const rule = unit === 'day' ? 'daily' : `${unit}ly`;
    commander.option(`--keep-${rule} <n>`, `keep the newest of each of n ${unit}s that have one`);
  }
  commander.option('--keep-within <time>', 'keep all that are younger, seen from the newest (`30d`, `1y6mo`; m is months, as in restic)');
  for (const unit of ['hour', 'day', 'week', 'month', 'year']) {
    const rule = unit === 'day' ? 'daily' : `${unit}ly`;
    commander.option(`--keep-within-${rule} <time>`, `keep the newest of each ${unit} in that time`);
  }
  commander
    .option('--keep-tag <tag[,tag...]>', 'keep what has all these tags; given again: or all those', collect)
    .option('--keep-manual <duration>', 'how long manual and guard snapshots are kept');
}

/**
 * The policy that options are, of which nothing is taken from `holdfast.yaml` but, where it isn't given, how long manual snapshots stay.
 * Undefined without any that keeps scheduled ones.
 * @throws `usage`, also for a policy that would keep nothing.
 */
export function policyOfOptions(options: KeepOptions): Omit<RetentionPolicy, 'manualMs'> | undefined {
  const asked = [...countRules, ...spanRules].filter((rule) => given(options, rule) !== undefined);
  if (asked.length === 0 && options.keepTag === undefined) return undefined;
  const counts = countRules.map((rule) => [rule, countOf(optionOf(rule), given(options, rule) ?? '0')]);
  const spans = spanRules.map((rule) => [rule, spanOf(optionOf(rule), given(options, rule))]);
  const policy = {
    ...(Object.fromEntries(counts) as Record<CountRule, number>),
    ...(Object.fromEntries(spans) as Record<SpanRule, Span | undefined>),
    tags: options.keepTag ?? [],
  };
  if (keepsNothing({ ...policy, manualMs: 0 })) {
    throw new HoldfastError('usage', 'this policy would keep nothing', {
      remedy: 'give one --keep option more than nothing; snapshots that are to go are named by their ids',
    });
  }
  return policy;
}

/** Milliseconds of `--keep-manual`. @throws `usage`. */
export function manualOfOptions({ keepManual }: KeepOptions): number | undefined {
  if (keepManual === undefined) return undefined;
  const durationMs = parseDuration(keepManual);
  if (durationMs !== undefined) return durationMs;
  throw new HoldfastError('usage', `--keep-manual takes a duration such as 90d, not ${JSON.stringify(keepManual)}`);
}

function countOf(option: string, text: string): number {
  if (text === 'unlimited' || text === '-1') return -1;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new HoldfastError('usage', `${option} takes a whole number, 0 or more, or \`unlimited\`, not ${JSON.stringify(text)}`);
}

function spanOf(option: string, text: string | undefined): Span | undefined {
  if (text === undefined) return undefined;
  const span = parseSpan(text);
  if (span !== undefined) return span;
  throw new HoldfastError('usage', `${option} takes a time such as 30d or 1y6mo (h, d, w, mo, y), not ${JSON.stringify(text)}`);
}
