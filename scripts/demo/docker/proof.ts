/** Whether the volumes of the application are what they were: asked of containers, which see what the application sees. */
import { type VolumeName, volumeNames } from '../deployment.ts';
import { DemoFailure } from '../holdfast.ts';
import { say } from '../narrate.ts';
import type { Application } from './application.ts';

/** What nobody changes meanwhile: everything but the application's journal, and Redis's files. */
const still: VolumeName[] = volumeNames.filter((name) => name !== 'redis-data');
const journal = 'auto-claude-data/journal';

/** Kind, mode, owner, size and time of everything, contents of files, targets of links. */
const fingerprintScript = `cd /volumes
find . -mindepth 1 ! -type d ! -path './${journal}' -exec stat -c '%n: %F %a %u:%g %s bytes %Y' {} +
find . -mindepth 1 -type d -exec stat -c '%n: %F %a %u:%g %Y' {} +
find . -type f ! -path './${journal}' -exec sha256sum {} +
find . -type l -exec sh -c 'for link; do echo "$link -> $(readlink "$link")"; done' sh {} +`;

/** The lines that describe the volumes. */
export async function fingerprint({ docker, engineVolume, image }: Application): Promise<string[]> {
  const volumes = still.map((name) => `--volume=${engineVolume(name)}:/volumes/${name}:ro`);
  return (await docker('run', '--rm', '--network=none', ...volumes, image, 'sh', '-c', fingerprintScript)).split('\n').sort();
}

/** @throws DemoFailure with the first differences. */
export function proveSame(before: readonly string[], after: readonly string[]): void {
  const [was, is] = [new Set(before), new Set(after)];
  const differences = [...before.filter((line) => !is.has(line)), ...after.filter((line) => !was.has(line))];
  if (differences.length > 0) throw new DemoFailure(`what was restored is not what was there:\n${differences.slice(0, 10).join('\n')}`);
  say('four volumes: identical in contents, kinds, modes, owners, times and links');
}

/**
 * Proves that the restored journal and queue are of one instant, and hold all that was acknowledged before. Of the services only Redis runs.
 * @throws DemoFailure.
 */
export async function proveOneInstant({ docker, engineVolume, image, container }: Application, acknowledged: number): Promise<void> {
  const mount = `--volume=${engineVolume('auto-claude-data')}:/state:ro`;
  const lines = Number(await docker('run', '--rm', '--network=none', mount, image, 'sh', '-c', 'wc -l < /state/journal'));
  const script =
    "local all = redis.call('lrange', 'tasks', 0, -1) for i, n in ipairs(all) do if tonumber(n) ~= i then return -1 end end return #all";
  const count = Number(await docker('exec', await container('redis'), 'redis-cli', 'eval', script, '0'));
  if (count < acknowledged)
    throw new DemoFailure(`the queue holds ${count} numbers; ${acknowledged} were acknowledged before the restore point`);
  if (lines - count !== 0 && lines - count !== 1)
    throw new DemoFailure(`journal (${lines}) and queue (${count}) are not of the same instant`);
  say(`redis-data: Redis loads its files; ${count} numbers in its queue, without a gap; ${acknowledged} were acknowledged before the cut`);
  say(`auto-claude-data: ${lines} in the journal, which is written before the queue: both volumes are of one instant`);
}
