import { relative, resolve } from 'node:path';
import { parse } from 'yaml';
import { HoldfastError } from '../../model/errors.ts';
import { displayRaw, rawFromText } from '../../model/raw-bytes.ts';
import { defaults } from '../configuration/defaults.ts';
import { namePattern } from '../configuration/schema-parts.ts';
import { type DiscoveredProject, type DiscoveredVolume, freeName, validName } from './discovered.ts';

/**
 * The text of a first `holdfast.yaml` for what was found, to be kept in the folder of the project. Every part is explained by a
 * comment, and what Holdfast could only guess is marked `guess`. It loads without a mistake. With nothing found it describes
 * an example volume, the directory `./data`.
 * @param options.repository URL or path of the repository; by default `./holdfast-repository`, or beside the folder when a
 *   volume would contain that.
 * @param options.listen where the API listens; left to the default by default.
 * @throws `usage` when a volume contains every place that a local repository could take.
 */
export function starterConfiguration(found: DiscoveredProject, options: { repository?: string; listen?: string } = {}): string {
  const usable = found.volumes.filter(hasUsableSource);
  const volumes = usable.length > 0 ? usable : [{ name: 'data', mounts: [], app: undefined, source: { directory: './data' } }];
  const repository = options.repository ?? repositoryPlace(found, volumes);
  const { hourly, daily, weekly, monthly, manual } = defaults.retention;
  return `# What is kept safe, where, how often and for how long. Every key that is not here has a default: see docs/configuration.md.
# Lines marked "guess" are Holdfast's: check them.

# The name under which snapshots are filed. Renaming it later starts a new history.
project: ${scalar(validName(found.project, 'project'))}

# What is backed up. All of it, as one restore point. \`criticality\` is critical, moderate (it can be rebuilt) or low.
volumes:
${volumeTexts(volumes).join('\n')}
${notCoveredComment(found)}
# Where snapshots live. Keep a copy of the password file elsewhere: without it no backup can be read.
repositories:
  local: { url: ${scalar(repository)}, passwordFile: ${defaults.passwordFile} }
  # A copy at another place survives the loss of this host:
  # offsite: { url: "s3://BUCKET/PATH?region=REGION", passwordFile: ${defaults.passwordFile} }

# When: minute hour day-of-month month day-of-week.
schedules:
  hourly: { cron: "${defaults.schedules.hourly.cron}", to: local }
  # offsite: { cron: "30 2 * * *", copy: { from: local, to: offsite } }

# What is kept: the newest of so many hours, days, weeks and months; manual snapshots for this long.
retention: { hourly: ${hourly}, daily: ${daily}, weekly: ${weekly}, monthly: ${monthly}, manual: ${manual} }

# What backups are measured against: how much may be lost (RPO), how long recovery may take (RTO).
objectives: { rpo: ${defaults.objectives.rpo}, rto: ${defaults.objectives.rto} }

# When recovery is rehearsed into scratch space, verified and timed.
drills: { cron: "${defaults.drills.cron}" }
${listenText(options.listen)}
# What is left out of all volumes, as in a .gitignore:
# exclude: [node_modules/, "*.tmp"]
`;
}

const listenText = (listen: string | undefined): string =>
  listen === undefined
    ? ''
    : `\n# Where the API of \`holdfast up\` listens: another one took ${defaults.daemon.listen}.\ndaemon: { listen: ${scalar(listen)} }\n`;

/** Docker cannot have a volume of any other name. */
function hasUsableSource(volume: DiscoveredVolume): boolean {
  return volume.source === undefined || !('docker' in volume.source) || namePattern.test(volume.source.docker);
}

function volumeTexts(volumes: DiscoveredVolume[]): string[] {
  const taken = new Set<string>();
  return volumes.map((volume) => {
    const name = freeName(validName(volume.name, 'volume'), taken);
    taken.add(name);
    return volumeText(name, volume);
  });
}

/** Where credentials are usually kept, in a container's path or a volume's name. */
const sensitivePlaces =
  /(^|\/)\.(claude|ssh|aws|gnupg|kube|docker|azure|password-store|config\/(gh|gcloud|op))(\/|$)|secret|credential|vault|token|(^|[^a-z])(ssh|gnupg|certs?|keys)([^a-z]|$)/i;
const rebuildable = /(^|[^a-z])(cache|tmp|temp)([^a-z]|$)/i;

function volumeText(name: string, volume: DiscoveredVolume): string {
  const path = volume.mounts.map((mount) => mount.path).find((mounted) => mounted !== '');
  const where = `${path ?? ''} ${volume.name}`.trim().split(' ');
  const services = [...new Set(volume.mounts.map((mount) => mount.service))];
  const sensitive = [...where, ...(volume.source !== undefined && 'directory' in volume.source ? [volume.source.directory] : [])].some(
    (place) => sensitivePlaces.test(place),
  );
  const lines = [`  ${scalar(name)}:`];
  if (volume.source !== undefined) lines.push(`    source: ${sourceText(volume.source)}`);
  else if (name !== volume.name) lines.push(`    # ${comment(`called ${volume.name} there: name its source here`)}`);
  if (path !== undefined) lines.push(`    path: ${scalar(path)} # ${comment(`mounted by ${services.join(', ')}`)}`);
  lines.push(
    where.some((place) => rebuildable.test(place))
      ? '    criticality: moderate # guess: looks as if it could be rebuilt'
      : '    criticality: critical # guess: moderate when it can be rebuilt',
  );
  lines.push(
    sensitive
      ? '    sensitive: true # guess: looks like a place of credentials'
      : '    # sensitive: true # guess: no; set it when it holds credentials',
  );
  if (volume.app !== undefined) lines.push(`    app: ${volume.app} # guess: by its image`);
  return lines.join('\n');
}

function sourceText(source: { docker: string } | { directory: string }): string {
  return 'docker' in source ? `{ docker: ${scalar(source.docker)} }` : `{ directory: ${scalar(source.directory || '.')} }`;
}

function notCoveredComment(found: DiscoveredProject): string {
  const lines = found.notCovered.map((item) =>
    item.kind === 'bind'
      ? `service ${item.service}: ${item.path} is bound to ${item.from}; to cover it: NAME: { source: { directory: ${item.from} } }`
      : `service ${item.service}: ${item.path} is an anonymous volume; give it a name to keep it safe`,
  );
  for (const volume of found.volumes) if (!hasUsableSource(volume)) lines.push(`volume ${volume.name}: no Docker volume can have its name`);
  const all = [...lines, ...found.remarks];
  if (all.length === 0) return '';
  return `# NOT covered:\n${all.map((line) => `# - ${comment(line)}`).join('\n')}\n`;
}

/** The first place that no volume contains: a repository inside a volume would be lost with it. */
function repositoryPlace(found: DiscoveredProject, volumes: DiscoveredVolume[]): string {
  const usual = defaults.repositories.local.url;
  const project = validName(found.project, 'project');
  const places = [usual, `../${project}-holdfast-repository`, `/var/backups/holdfast/${project}`];
  const directories = volumes.flatMap((volume) =>
    volume.source !== undefined && 'directory' in volume.source ? [resolve(found.directory, volume.source.directory)] : [],
  );
  const free = places.find((place) =>
    directories.every((directory) => {
      const way = relative(directory, resolve(found.directory, place));
      return way === '..' || way.startsWith('../');
    }),
  );
  if (free !== undefined) return free;
  throw new HoldfastError('usage', 'the volumes contain every place where the repository could be', {
    remedy: 'name a place outside of them with --repository',
  });
}

/** One line of a comment, whatever the text holds. */
const comment = (text: string): string => displayRaw(rawFromText(text));

/** The text as a YAML scalar that reads back as the same text; plain where that is safe. */
function scalar(text: string): string {
  if (/^[a-zA-Z./][a-zA-Z0-9_./-]*$/.test(text) && parse(text) === text) return text;
  return JSON.stringify(text).replace(
    /[\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
