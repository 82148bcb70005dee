import { type AuditFacts, audit, type Finding, type Severity, severities } from '../../control/discovery/audit.ts';
import { snapshotsOfProject } from '../../control/restore-points.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { isOnEncryptedDisk } from '../../platform/directory/encrypted-disk.ts';
import { listSnapshots, snapshotTimeMs } from '../../repository/snapshots.ts';
import type { Command, CommandContext } from '../command.ts';
import { displayText } from '../output/text.ts';
import { formatCount } from '../output/units.ts';
import { requireProject } from '../project.ts';
import { findProjectVolumes, type ProjectVolumes } from '../project-volumes.ts';
import { withRepository } from '../session.ts';
import { systemClock } from '../system-clock.ts';

type Options = { failOn?: string; static?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option('--fail-on <level>', 'exit with 3 for findings of this level and worse: critical, warning, note or never', 'warning')
      .option('--static', 'look only at files: needs neither the Engine nor the repository');
    commander.addHelpText(
      'after',
      '\nExit code 3 says that something is not protected as it should be. With --static, for continuous integration, it is enough to have\nholdfast.yaml and the compose file.',
    );
  },

  async run(context) {
    const { options, output } = context;
    const failOn = parseLevel(options.failOn ?? 'warning');
    const findings = audit(await (options.static ? staticFacts(context) : facts(context)));
    for (const finding of findings) {
      output.document(finding);
      output.line(`${finding.severity}: ${displayText(finding.message)}`);
      output.line(`  → ${displayText(finding.remedy)}`);
    }
    const failing = findings.filter(({ severity }) => failOn !== undefined && severities.indexOf(severity) >= severities.indexOf(failOn));
    output.note(findings.length === 0 ? 'nothing to be found fault with' : summaryOf(findings));
    return failing.length > 0 ? exitCodes.incomplete : exitCodes.done;
  },
};

function parseLevel(level: string): Severity | undefined {
  if (level === 'never') return undefined;
  const known = severities.find((severity) => severity === level);
  if (known !== undefined) return known;
  throw new HoldfastError('usage', `there is no level "${level}"`, { remedy: 'use one of critical, warning, note, never' });
}

const summaryOf = (findings: readonly Finding[]): string =>
  `\n${severities
    .toReversed()
    .map((severity) => [severity, findings.filter((finding) => finding.severity === severity).length] as const)
    .filter(([, count]) => count > 0)
    .map(([severity, count]) => (severity === 'critical' ? `${count} critical` : formatCount(count, severity)))
    .join(', ')}`;

async function facts(context: CommandContext<Options>): Promise<AuditFacts> {
  const project = await findProjectVolumes(context, await requireProject(context));
  const { configuration, found } = project;
  const directories = new Map([...found].flatMap(([name, { directory }]) => (directory === undefined ? [] : [[name, directory] as const])));
  const sensitive = configuration.volumes.filter((volume) => volume.sensitive).map(({ name }) => name);
  const encrypted = new Map<string, boolean>();
  for (const name of sensitive) {
    const answer = directories.has(name) ? await isOnEncryptedDisk(directories.get(name) as string) : undefined;
    if (answer !== undefined) encrypted.set(name, answer);
  }
  return {
    ...given(project),
    present: new Map(configuration.volumes.map(({ name }) => [name, found.has(name)])),
    ...(await repositoryFacts(context, configuration)),
    directories,
    encrypted,
  };
}

async function repositoryFacts(
  context: CommandContext<Options>,
  configuration: ProjectVolumes['configuration'],
): Promise<Pick<AuditFacts, 'newest' | 'keys'>> {
  return withRepository(context, configuration, 'none', async ({ repository }) => {
    const newest = new Map<string, { timeMs: number; consistency: string }>();
    for (const { snapshot, identity } of snapshotsOfProject(await listSnapshots(repository), configuration.project)) {
      newest.set(identity.volume, { timeMs: snapshotTimeMs(snapshot), consistency: identity.consistency });
    }
    let keys = 0;
    for await (const _ of repository.storage.list('keys')) keys++;
    return { newest, keys };
  });
}

/** What the files alone say. */
async function staticFacts(context: CommandContext<Options>): Promise<AuditFacts> {
  const configuration = await requireProject(context);
  const { discoverCompose } = await import('../../control/discovery/compose.ts');
  const compose = await discoverCompose(configuration.directory, context.environment);
  const declared = new Set(
    configuration.volumes.flatMap(({ name, source }) => (source.kind === 'docker' ? [name, source.volume] : [name])),
  );
  const named = (compose?.volumes ?? [])
    .filter(({ name, source }) => !declared.has(name) && !(source !== undefined && 'docker' in source && declared.has(source.docker)))
    .map(({ name, mounts }) => ({ name, anonymous: false, users: mounts.map(({ service, path }) => ({ name: service, path })) }));
  const anonymous = (compose?.notCovered ?? []).flatMap((item) =>
    item.kind === 'anonymous' ? [{ name: item.path, anonymous: true, users: [{ name: item.service, path: item.path }] }] : [],
  );
  const { resolve } = await import('node:path');
  const bindMounts = (compose?.notCovered ?? []).flatMap((item) =>
    item.kind === 'bind' ? [{ from: resolve(configuration.directory, item.from), users: [{ name: item.service, path: item.path }] }] : [],
  );
  const project = { configuration, found: new Map(), undeclared: [...named, ...anonymous], bindMounts, labelRemarks: [] };
  return { ...given(project), present: undefined, newest: undefined, keys: undefined, directories: new Map(), encrypted: new Map() };
}

function given({ configuration, undeclared, bindMounts, labelRemarks }: ProjectVolumes) {
  return {
    nowMs: systemClock.now().getTime(),
    configuration,
    undeclared: undeclared.map(({ name, anonymous, users }) => ({
      name,
      anonymous,
      usedBy: users.map((user) => user.name),
      path: users[0]?.path,
    })),
    bindMounts: bindMounts.map(({ from, users }) => ({ from, usedBy: users.map((user) => user.name), path: users[0]?.path ?? '' })),
    labelRemarks,
  };
}
