/** What Compose, version 1 and 2, and Swarm write on what they make (github.com/compose-spec/compose-go, `docker/compose` pkg/api/labels.go). */

type Labels = Readonly<Record<string, string>>;

/** A stack of Swarm is to its services what a project of Compose is. */
export const projectOf = (labels: Labels): string | undefined =>
  labels['com.docker.compose.project'] ?? labels['com.docker.stack.namespace'] ?? labels['io.podman.compose.project'];

export function serviceOf(labels: Labels): string | undefined {
  const service = labels['com.docker.compose.service'];
  if (service !== undefined) return service;
  const swarm = labels['com.docker.swarm.service.name'];
  const stack = labels['com.docker.stack.namespace'];
  // Swarm's name has the stack in front.
  return stack !== undefined && swarm?.startsWith(`${stack}_`) ? swarm.slice(stack.length + 1) : swarm;
}

/** The volume's key in the compose file. */
export const volumeKeyOf = (labels: Labels): string | undefined => labels['com.docker.compose.volume'];

/** `db:service_healthy:false,cache:service_started:true`: service, condition, whether it is restarted along. Early versions wrote names alone. */
export function dependsOn(labels: Labels): { service: string; condition: string }[] {
  return (labels['com.docker.compose.depends_on'] ?? '')
    .split(',')
    .map((entry) => entry.split(':'))
    .filter(([service]) => service !== undefined && service !== '')
    .map(([service = '', condition = '']) => ({ service, condition: condition === '' ? 'service_started' : condition }));
}
