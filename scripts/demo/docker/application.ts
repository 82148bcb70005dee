/** The reference deployment as a project of Compose: an application that keeps working, a Redis for its queue, five volumes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { makeClaude, makeGithub } from '../accounts.ts';
import { type VolumeName, volumeNames } from '../deployment.ts';
import { DemoFailure } from '../holdfast.ts';
import type { DataChoice } from '../projects.ts';
import { makeProjects } from '../projects.ts';
import { makeState } from '../state.ts';
import { type Programs, type Ran, requireProgram } from './engine.ts';

/**
 * Writes a number to its journal, in one volume, and only then to its queue, in another: whatever instant both volumes are of, the queue is at most
 * one number behind, and never ahead.
 */
const work = [
  'trap exit TERM',
  // Once, though an answer may be lost; and again when Redis is still loading.
  "script=\"if redis.call('llen', 'tasks') + 1 == tonumber(ARGV[1]) then redis.call('rpush', 'tasks', ARGV[1]) end return redis.call('llen', 'tasks')\"",
  'push() { until [ "$$(redis-cli eval "$$script" 0 "$$1" 2>/dev/null)" = "$$1" ]; do usleep 20000; done; }',
  'n=$$(cat /app/.auto-claude/journal 2>/dev/null | wc -l)',
  // It may have been ended between the two.
  'if [ "$$n" -gt 0 ]; then push "$$n"; fi',
  'while true; do',
  '  n=$$((n + 1)); echo "task $$n" >> /app/.auto-claude/journal; push "$$n"',
  '  usleep 10000',
  'done',
];

const composeFile = (image: string) => `services:
  app:
    image: ${image}
    network_mode: service:redis
    depends_on: [redis]
    command:
      - sh
      - -c
      - |
${work.map((line) => `        ${line}`).join('\n')}
    volumes:
      - projects-data:/app/projects
      - claude-data:/root/.claude
      - github-data:/root/.config/gh
      - auto-claude-data:/app/.auto-claude
  redis:
    image: ${image}
    network_mode: none
    command: redis-server --dir /data --appendonly yes
    volumes:
      - redis-data:/data
volumes:
${volumeNames.map((name) => `  ${name}:\n`).join('')}`;

export type Application = {
  /** The folder of its compose file; its name is the project's. */
  folder: string;
  /** Runs Compose in it. @throws DemoFailure when it fails. */
  compose(...args: string[]): Promise<Ran>;
  /** The same for docker. @returns what it said. */
  docker(...args: string[]): Promise<string>;
  image: string;
  /** Of a volume, or of a service's container. */
  engineVolume(name: VolumeName): string;
  container(service: 'app' | 'redis'): Promise<string>;
  /** How Compose is called. */
  composeCommand: readonly string[];
};

type Where = { folder: string; image: string; programs: Programs; composeCommand: readonly string[] };

export function createApplication({ folder, image, programs, composeCommand }: Where): Application {
  const project = basename(folder);
  mkdirSync(folder);
  // Compose of old knows no other name.
  writeFileSync(join(folder, 'docker-compose.yml'), composeFile(image));
  const successful = async (file: string, args: readonly string[]) => {
    const ran = await programs.run(file, args, { cwd: folder });
    if (ran.exitCode !== 0) throw new DemoFailure(`${basename(file)} ${args.join(' ')}: ${ran.stderr}`);
    return ran;
  };
  const [program = '', ...rest] = composeCommand;
  const docker = async (...args: string[]) => (await successful(requireProgram('docker'), args)).stdout.trim();
  return {
    folder,
    image,
    composeCommand,
    compose: (...args) => successful(program, [...rest, ...args]),
    docker,
    engineVolume: (name) => `${project}_${name}`,
    async container(service) {
      const labels = { project, service };
      const filters = Object.entries(labels).flatMap(([key, value]) => ['--filter', `label=com.docker.compose.${key}=${value}`]);
      return docker('ps', '--all', '--format', '{{.Names}}', ...filters);
    },
  };
}

/** Fills the volumes, by way of `scratch`, and starts the containers. */
export async function startApplication(application: Application, programs: Programs, scratch: string, choice: DataChoice): Promise<void> {
  const { compose, docker, engineVolume, image } = application;
  const contents: Partial<Record<VolumeName, (root: string) => void>> = {
    'projects-data': (root) => makeProjects(root, choice),
    'claude-data': (root) => makeClaude(root, choice.seed, choice.scale),
    'github-data': (root) => makeGithub(root, choice.seed),
    'auto-claude-data': (root) => makeState(root, choice.seed, choice.scale),
  };
  // Volumes alone: containers that share a network are to be created when the other runs.
  await compose('up', '--no-start');
  await compose('down');
  for (const [name, make] of Object.entries(contents) as [VolumeName, (root: string) => void][]) {
    const root = join(scratch, name);
    mkdirSync(root);
    make(root);
    const container = await docker('create', '--network=none', `--volume=${engineVolume(name)}:/volume`, image, 'true');
    const pipe = 'tar --numeric-owner -C "$1" -cf - . | "$2" cp --archive - "$3":/volume && "$2" rm "$3" && rm -r "$1"';
    const { exitCode, stderr } = await programs.run('sh', ['-c', pipe, 'sh', root, requireProgram('docker'), container]);
    if (exitCode !== 0) throw new DemoFailure(`volume ${name} cannot be filled: ${stderr}`);
  }
  await compose('up', '--detach');
  await workGoesOn(application);
}

/** Numbers in the queue: all of them are acknowledged. */
export const queued = async ({ docker, container }: Application): Promise<number> =>
  Number(await docker('exec', await container('redis'), 'redis-cli', 'llen', 'tasks'));

const [patienceMs, lookMs] = [20_000, 50];

/** Waits until ten more numbers are in the queue. @throws DemoFailure. */
export async function workGoesOn(application: Application): Promise<void> {
  const late = Date.now() + patienceMs;
  let first: number | undefined;
  for (;;) {
    const count = await answerOf(application);
    first ??= count;
    if (first !== undefined && count !== undefined && count >= first + 10) return;
    if (Date.now() > late) {
      const { stdout, stderr } = await application.compose('logs', '--tail', '20');
      throw new DemoFailure(`the application does not work: its queue does not grow\n${stdout}${stderr}`);
    }
    await setTimeout(lookMs);
  }
}

/** Waits until Redis has loaded its files. @throws DemoFailure. */
export async function redisAnswers(application: Application): Promise<void> {
  const late = Date.now() + patienceMs;
  while ((await answerOf(application)) === undefined) {
    if (Date.now() > late) throw new DemoFailure('Redis does not answer');
    await setTimeout(lookMs);
  }
}

/** Undefined when it does not answer, as right after its start. */
async function answerOf(application: Application): Promise<number | undefined> {
  try {
    const count = await queued(application);
    return Number.isNaN(count) ? undefined : count;
  } catch (error) {
    if (error instanceof DemoFailure) return undefined;
    throw error;
  }
}
