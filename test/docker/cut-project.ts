/** A project called `shop` on a test's own Docker Engine, backed up through the command line. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { TestEngine } from '../docker-engine.ts';
import { scratch } from '../peers.ts';
import { type Document, documents, holdfastProgram, run } from '../programs.ts';

export type CutProject = {
  folder: string;
  environment: Record<string, string>;
  /** Runs a command with `--json`. */
  holdfast(args: readonly string[], exit?: readonly number[]): { status: number; events: Document[]; stderr: string };
  /** The newest snapshot of a volume, restored into an empty folder. */
  restored(volume: string): string;
};

export function cutProject(t: Pick<TestContext, 'after'>, engine: TestEngine, volumes: string, more = ''): CutProject {
  const folder = scratch(t);
  writeFileSync(join(folder, 'holdfast.yaml'), `project: shop\nvolumes: ${volumes}\n${more}`);
  const environment = { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(folder, 'state') };
  const project: CutProject = {
    folder,
    environment,
    holdfast(args, exit = [0]) {
      const { status, stdout, stderr } = run(holdfastProgram, ['--directory', folder, '--json', ...args], { environment, exit });
      return { status, events: documents(stdout), stderr };
    },
    restored(volume) {
      const target = mkdtempSync(join(folder, 'restored-'));
      project.holdfast(['restore', volume, '--to', target]);
      return target;
    },
  };
  project.holdfast(['init']);
  return project;
}

/** Starts a container of the project as Compose would. @param dependsOn as Compose writes it: `db:service_started:false`. */
export function startService(
  engine: TestEngine,
  service: string,
  {
    image,
    options = [],
    dependsOn = '',
    command,
  }: { image: string; options?: readonly string[]; dependsOn?: string; command: readonly string[] },
): string {
  const name = `shop-${service}-1`;
  const labels = { project: 'shop', service, depends_on: dependsOn };
  const labelled = Object.entries(labels).flatMap(([key, value]) => ['--label', `com.docker.compose.${key}=${value}`]);
  engine.docker('run', '--detach', '--network=none', `--name=${name}`, ...labelled, ...options, image, ...command);
  return name;
}

/** `running`, `paused`, `exited`, ... */
export const stateOf = (engine: TestEngine, container: string): string =>
  engine.docker('inspect', '--format', '{{.State.Status}}', container);

/** A folder of many small files, for passes that take a while. */
export function fillVolume(directory: string, files: number): void {
  mkdirSync(directory, { recursive: true });
  execFileSync('sh', ['-c', 'cd "$1" && seq "$2" | while read i; do echo "file $i" > "f$i"; done', 'sh', directory, String(files)]);
}
