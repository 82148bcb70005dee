/**
 * Hooks that containers carry as labels, each run in its own container and nowhere else: `holdfast.hook.before`, `holdfast.hook.after` and
 * `holdfast.hook.on-error` are shell commands, or JSON lists of a program and its arguments. `holdfast.hook.user` and `holdfast.hook.timeout` hold
 * for all of a container, `holdfast.hook.before.user` and the like for one. Pure.
 */
import { parseDuration } from '../../model/quantities.ts';
import type { Inventory, PlatformContainer } from '../../platform/platform.ts';
import type { Hook, Hooks } from '../configuration/configuration.ts';
import { defaults } from '../configuration/defaults.ts';
import type { TakenLabel } from '../discovery/labels.ts';

const prefix = 'holdfast.hook.';
const moments = { before: 'before', after: 'after', onError: 'on-error' } as const satisfies Record<keyof Hooks, string>;
const known = new Set(Object.values(moments).flatMap((moment) => [moment, `${moment}.user`, `${moment}.timeout`]));
const ofAll = ['user', 'timeout'];

export type LabelledHooks = {
  hooks: Hooks;
  /** `volume` is the container's name: a hook belongs to no volume. */
  taken: TakenLabel[];
  /** Labels that say nothing that Holdfast understands, a sentence each. */
  remarks: string[];
  /** Hooks that cannot be run as they are written, a sentence each: a backup without them would not be what was asked for. */
  mistakes: string[];
};

/** Of the containers of a project that run, in the order of their names. */
export function hooksOfLabels(project: string, { containers }: Inventory): LabelledHooks {
  const found: LabelledHooks = { hooks: { before: [], after: [], onError: [] }, taken: [], remarks: [], mistakes: [] };
  const own = containers.filter((container) => container.project === project && container.state === 'running');
  for (const container of own.toSorted((a, b) => (a.name < b.name ? -1 : 1))) addHooksOf(container, found);
  return found;
}

function addHooksOf({ name, labels }: PlatformContainer, { hooks, taken, remarks, mistakes }: LabelledHooks): void {
  const from = `container ${name}`;
  for (const label of Object.keys(labels).filter((key) => key.startsWith(prefix))) {
    const key = label.slice(prefix.length);
    if (!known.has(key) && !ofAll.includes(key)) remarks.push(`${from}: there is no label ${label}`);
  }
  const setting = (moment: string, key: string) => labels[`${prefix}${moment}.${key}`] ?? labels[`${prefix}${key}`];
  for (const [when, moment] of Object.entries(moments) as [keyof Hooks, string][]) {
    const value = labels[`${prefix}${moment}`];
    if (value === undefined) continue;
    const hook = hookOf(value, { in: name, user: setting(moment, 'user'), timeout: setting(moment, 'timeout') ?? defaults.hookTimeout });
    if (typeof hook === 'string') {
      mistakes.push(`${from}: the hook of its label ${prefix}${moment} cannot be run: ${hook}`);
      continue;
    }
    hooks[when].push(hook);
    // Not the command: some write secrets into it.
    taken.push({ volume: name, key: `hook.${moment}`, from });
  }
}

/** @returns what is wrong with it, otherwise. */
function hookOf(value: string, { in: place, user, timeout }: { in: string; user: string | undefined; timeout: string }): Hook | string {
  const timeoutMs = parseDuration(timeout);
  if (timeoutMs === undefined || timeoutMs <= 0) return `${JSON.stringify(timeout)} is no duration`;
  const command = commandOf(value.trim());
  return command === undefined ? 'it is no command' : { command, in: place, user, timeoutMs };
}

function commandOf(value: string): string[] | undefined {
  if (value === '') return undefined;
  if (!value.startsWith('[')) return ['/bin/sh', '-c', value];
  try {
    const words: unknown = JSON.parse(value);
    return Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string') ? words : undefined;
  } catch {
    // A shell's `[ -e /data/x ] && ...` begins so as well.
    return ['/bin/sh', '-c', value];
  }
}

/** Those of the file around those of the labels. */
export const addHooks = (file: Hooks, labels: Hooks): Hooks => ({
  before: [...file.before, ...labels.before],
  after: [...labels.after, ...file.after],
  onError: [...labels.onError, ...file.onError],
});
