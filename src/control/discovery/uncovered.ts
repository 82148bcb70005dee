/** Volumes that a compose file has gained and no backup holds, for status and alerts. */
import type { Configuration } from '../configuration/configuration.ts';
import type { Reason } from '../objectives/assessment.ts';
import type { Facts } from '../state/log-tables.ts';
import type { DiscoveredProject } from './discovered.ts';

/** Under this name the daemon keeps {@link Uncovered}. */
export const uncoveredFact = 'uncovered volumes';
export type Uncovered = { file: string; volumes: string[] };

/** Volumes of the compose file that no volume of the configuration is. Those that a label declares count as named. Pure. */
export function uncoveredVolumes(found: DiscoveredProject, { volumes }: Pick<Configuration, 'volumes'>): string[] {
  const names = new Set(volumes.map(({ name }) => name));
  const engineNames = new Set(volumes.flatMap(({ source }) => (source.kind === 'docker' ? [source.volume] : [])));
  return found.volumes
    .filter(({ name, source, labelled }) => {
      const engineName = source !== undefined && 'docker' in source ? source.docker : `${found.project}_${name}`;
      return !labelled && !names.has(name) && !engineNames.has(engineName);
    })
    .map(({ name }) => name);
}

/** What is thought of it. */
export function uncoveredReasons(facts: Pick<Facts, 'get'>): Reason[] {
  const { file = '', volumes = [] } = facts.get<Uncovered>(uncoveredFact) ?? {};
  if (volumes.length === 0) return [];
  return [
    {
      kind: 'not-covered',
      condition: 'at-risk',
      message: `no backup holds ${volumes.join(', ')}: ${file} has ${volumes.length === 1 ? 'this volume' : 'these volumes'}, and holdfast.yaml does not name ${volumes.length === 1 ? 'it' : 'them'}`,
      remedy: `add to \`volumes\` in holdfast.yaml: ${volumes.map((name) => `${name}: {}`).join(', ')}; or label what need not be kept holdfast.enabled=false`,
    },
  ];
}
