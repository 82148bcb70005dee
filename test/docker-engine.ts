/** A real Docker Engine of the test's own, with images of this machine's own Debian packages. */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TestContext } from 'node:test';
import { type ImageName, imageChanges, makeImageArchive } from '../scripts/engine/images.ts';
import { type PrivateEngine, startPrivateEngine } from '../scripts/engine/private-engine.ts';
import { requirePeer, requireRoot } from './peers.ts';

export type TestEngine = Omit<PrivateEngine, 'stop'>;

/**
 * Starts an Engine that ends with the tests of `t`; undefined when there can be none here, and the test is then marked as skipped: return from
 * it. Start one for a whole file, in a test that has subtests.
 * @param more of the daemon's options.
 */
export async function startDockerEngine(t: TestContext, more: readonly string[] = []): Promise<TestEngine | undefined> {
  if (!requireRoot(t)) return undefined;
  const [daemon, client, busybox] = [requirePeer(t, 'dockerd'), requirePeer(t, 'docker'), requirePeer(t, 'busybox')];
  if (daemon === undefined || client === undefined || busybox === undefined) return undefined;
  const engine = await startPrivateEngine({ daemon, client }, more);
  t.after(engine.stop);
  return engine;
}

/** Makes the image `NAME:test`; harmless when it is there. */
export function importImage({ docker, socket }: TestEngine, name: ImageName): void {
  if (docker('images', '--quiet', `${name}:test`) !== '') return;
  const archive = makeImageArchive(name, dirname(socket));
  docker('import', ...imageChanges, archive, `${name}:test`);
  rmSync(archive);
}
