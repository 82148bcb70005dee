/** The reference deployment: its five volumes, made from a seed, and what a day changes in them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { changeAccounts, makeClaude, makeGithub } from './accounts.ts';
import { say } from './narrate.ts';
import { changeProjects, type DataChoice, makeProjects } from './projects.ts';
import { fitsSocket, type Redis, startRedis, writePretendedDump } from './redis.ts';
import { changeState, makeState } from './state.ts';

export const volumeNames = ['projects-data', 'claude-data', 'github-data', 'auto-claude-data', 'redis-data'] as const;
export type VolumeName = (typeof volumeNames)[number];

export type Deployment = {
  choice: DataChoice;
  /** Undefined where redis-server is not installed. */
  redis: Redis | undefined;
  /** Keys that Redis has saved. */
  redisKeys: number;
};

const sessions = (choice: DataChoice): number => Math.max(50, Math.round(40_000 * choice.scale));

/** Makes the volumes as folders of their names. `redisServer` is the path of that program, where it is installed. */
export async function makeDeployment(
  folder: string,
  scratch: string,
  choice: DataChoice,
  redisServer: string | undefined,
): Promise<Deployment> {
  for (const name of volumeNames) mkdirSync(join(folder, name), { recursive: true });
  makeProjects(join(folder, 'projects-data'), choice);
  say(
    `projects-data holds sources, dependencies, pictures${choice.hasGit ? ' and a git repository' : '; no repository, because git is not installed'}`,
  );
  makeClaude(join(folder, 'claude-data'), choice.seed, choice.scale);
  makeGithub(join(folder, 'github-data'), choice.seed);
  say('claude-data and github-data hold tokens, which only their owner may read');
  makeState(join(folder, 'auto-claude-data'), choice.seed, choice.scale);
  say('auto-claude-data holds state as JSON, logs and a SQLite database');
  const dataFolder = join(folder, 'redis-data');
  if (redisServer === undefined || !fitsSocket(scratch)) {
    say(
      `redis-data holds generated data: ${redisServer === undefined ? 'redis-server is not installed' : 'the path of the folder is too long for its socket'}`,
    );
    writePretendedDump(dataFolder, sessions(choice), choice.seed);
    return { choice, redis: undefined, redisKeys: 0 };
  }
  const redis = await startRedis(redisServer, dataFolder, scratch);
  const redisKeys = await redis.fill(sessions(choice), choice.seed);
  say(`redis-data is the dump of a Redis with ${redisKeys} keys`);
  return { choice, redis, redisKeys };
}

export async function changeDeployment(folder: string, deployment: Deployment): Promise<void> {
  const { choice, redis } = deployment;
  say(`projects-data: ${changeProjects(join(folder, 'projects-data'), choice)}`);
  say(`claude-data: ${changeAccounts(join(folder, 'claude-data'), choice.seed)}`);
  say('github-data: nothing');
  say(`auto-claude-data: ${changeState(join(folder, 'auto-claude-data'), choice.seed)}`);
  const more = Math.ceil(sessions(choice) / 50);
  const seed = `${choice.seed}/changes`;
  if (redis) deployment.redisKeys = await redis.fill(more, seed);
  else writePretendedDump(join(folder, 'redis-data'), sessions(choice) + more, choice.seed);
  say(`redis-data: ${more} commands, and a new dump, which Redis writes as a whole: little of it is as it was before`);
}
