/** A project of Docker volumes with its repository, and the command line on it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from '../../src/cli/run.ts';
import type { Said } from '../command-line.ts';
import type { TestEngine } from '../docker-engine.ts';
import { scratch } from '../peers.ts';

export type DockerProject = {
  folder: string;
  environment: NodeJS.ProcessEnv;
  holdfast(...argv: string[]): Promise<Said>;
  /** Writes a file of a volume. */
  put(volume: string, path: string, content: string): void;
};

/** The project `shop`: volumes that Compose would have made, their `holdfast.yaml`, and a repository. */
export async function dockerProject(t: TestContext, engine: TestEngine, volumes: readonly string[]): Promise<DockerProject> {
  const folder = scratch(t);
  const environment = { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(folder, 'state'), PATH: process.env.PATH };
  for (const volume of volumes) {
    const labels = ['--label', 'com.docker.compose.project=shop', '--label', `com.docker.compose.volume=${volume}`];
    engine.docker('volume', 'create', ...labels, `shop_${volume}`);
  }
  const list = volumes.map((volume) => `  ${volume}: {}\n`).join('');
  writeFileSync(
    join(folder, 'holdfast.yaml'),
    `project: shop\nvolumes:\n${list}repositories:\n  local: {url: ./repository, passwordFile: ./holdfast.key}\n`,
  );
  const holdfast = async (...argv: string[]): Promise<Said> => {
    let [stdout, stderr] = ['', ''];
    const exit = await run(argv, {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      environment,
      cwd: folder,
      signal: new AbortController().signal,
    });
    return { exit, stdout, stderr };
  };
  const { exit, stderr } = await holdfast('init');
  if (exit !== 0) throw new Error(stderr);
  const put = (volume: string, path: string, content: string) => {
    const file = join(engine.directoryOf(`shop_${volume}`), path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content);
  };
  return { folder, environment, holdfast, put };
}
