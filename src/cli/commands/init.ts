import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Configuration, RepositoryConfiguration } from '../../control/configuration/configuration.ts';
import { loadConfiguration } from '../../control/configuration/load.ts';
import { namePattern } from '../../control/configuration/schema-parts.ts';
import { discoverCompose } from '../../control/discovery/compose.ts';
import { type DiscoveredProject, directoryProject } from '../../control/discovery/discovered.ts';
import { starterConfiguration } from '../../control/discovery/starter.ts';
import { withoutVolumes } from '../../control/discovery/without-volumes.ts';
import { randomPolynomial } from '../../format/kernel/chunker.ts';
import { exitCodes, HoldfastError } from '../../model/errors.ts';
import { redactUrls } from '../../model/redact-url.ts';
import { processOwner } from '../../repository/process-owner.ts';
import { createRepository, openRepository } from '../../repository/repository.ts';
import type { Storage } from '../../storage/storage.ts';
import { addressOf } from '../address.ts';
import type { Command, CommandContext } from '../command.ts';
import { openStorage } from '../compose.ts';
import { configureFrom, type FromOptions, sourceOf } from '../from-options.ts';
import { costOf, makeKeyFile } from '../key-material.ts';
import { writeNewFile } from '../new-file.ts';
import { openStorageFor } from '../open-repository.ts';
import { displayText } from '../output/text.ts';
import { findPassword } from '../password.ts';
import { findProjectFile } from '../project.ts';
import { absoluteUrl, withSource } from '../session.ts';

type Options = FromOptions & { volume: string[]; repositoryVersion?: string; copyChunkerParams?: boolean };

export const command: Command<Options> = {
  configure(commander) {
    commander
      .option(
        '--volume <name=path>',
        'a directory to protect (repeatable); without it, the volumes of the compose file',
        (value: string, previous: string[]) => [...previous, value],
        [],
      )
      .option('--repository-version <n>', 'repository format, 1 or 2', '2')
      .option('--copy-chunker-params', 'cut files like the repository that --from names, so that a copy and a backup find the same chunks');
    configureFrom(commander);
    commander.addHelpText(
      'after',
      '\nWrites holdfast.yaml for what it finds here, makes a random key (holdfast.key) and creates the repository. With a holdfast.yaml, creates the\nrepository that it names. --repository is a path or URL here.',
    );
  },

  async run(context) {
    await makeProject(context);
    context.output.note(
      '\nNext:\n  1. read holdfast.yaml, and correct what was guessed\n  2. holdfast backup\n  3. holdfast restore --to /tmp/rehearsal --verify',
    );
    return exitCodes.done;
  },
};

/**
 * What `init` does, but for its advice: writes holdfast.yaml if there is none, makes the key and the repository, and says so.
 * @param listen where the daemon's API is to listen, for a new holdfast.yaml.
 */
export async function makeProject(context: CommandContext<Options>, listen?: string): Promise<void> {
  const formatVersion = parseVersion(context.options.repositoryVersion ?? '2');
  const existing = await findProjectFile(context);
  const polynomial = await polynomialToCopy(context, existing);
  const file = resolve(context.cwd, context.global.config ?? 'holdfast.yaml');
  if (existing !== undefined && existing.file === file && context.options.volume.length > 0) {
    throw new HoldfastError('usage', `there is a ${existing.file} already`, {
      file: existing.file,
      remedy: 'add the volumes to it, and run `holdfast init` without --volume',
    });
  }
  const found = existing?.file === file ? undefined : await discover(context);
  const repository = repositoryToName(context);
  if (found) {
    // A storage that cannot be opened is refused before anything is written.
    if (repository !== undefined) await openStorage({ url: repository });
    await writeConfiguration(
      found,
      { ...(repository === undefined ? {} : { repository }), ...(listen === undefined ? {} : { listen }) },
      file,
    );
  }
  const configuration = await loadConfiguration(file);
  const configured = repositoryOf(configuration, context, found === undefined);
  const { cwd, environment, global, output, signal } = context;
  const address = addressOf({ url: configured.url, global, environment, configured, cwd });
  const { storage, close } = await openStorageFor(address, { signal, report: output.report });
  let key: Key;
  let created: boolean;
  try {
    key = await provideKey(context, configured);
    created = await createOrOpen(storage, key, formatVersion, polynomial);
  } finally {
    await close();
  }
  tell(context, { configuration, configured, found, key, created, file });
}

/** The polynomial of another repository, so that the two cut files into the same chunks; undefined for one of its own. */
async function polynomialToCopy(context: CommandContext<Options>, configuration: Configuration | undefined): Promise<bigint | undefined> {
  const { options } = context;
  if (options.copyChunkerParams)
    return withSource(context, configuration, sourceOf(options), async ({ repository }) => repository.config.chunkerPolynomial);
  if (options.from === undefined) return undefined;
  throw new HoldfastError('usage', '--from is for --copy-chunker-params alone', { remedy: 'give both, or neither' });
}

function parseVersion(text: string): 1 | 2 {
  if (text === '1') return 1;
  if (text === '2') return 2;
  throw new HoldfastError('usage', `--repository-version is 1 or 2, not ${JSON.stringify(text)}`);
}

async function discover({ cwd, options, environment }: CommandContext<Options>): Promise<DiscoveredProject> {
  if (options.volume.length > 0) return directoryProject(cwd, await Promise.all(options.volume.map((text) => parseVolume(text, cwd))));
  const found = await discoverCompose(cwd, environment);
  if (found === undefined)
    throw new HoldfastError('usage', `there is no compose file in ${cwd}`, {
      remedy: 'name directories to protect: holdfast init --volume NAME=PATH',
    });
  if (found.volumes.length === 0) throw await withoutVolumes(found);
  return found;
}

async function parseVolume(text: string, cwd: string): Promise<{ name: string; directory: string }> {
  const cut = text.indexOf('=');
  const [name, path] = [text.slice(0, cut), text.slice(cut + 1)];
  if (cut < 1 || path === '' || !namePattern.test(name)) {
    throw new HoldfastError('usage', `--volume takes NAME=PATH, not ${JSON.stringify(text)}`, {
      remedy: 'for example: --volume data=./data',
    });
  }
  const directory = await stat(resolve(cwd, path)).catch(() => undefined);
  if (!directory?.isDirectory())
    throw new HoldfastError('volume-missing', `volume ${name}: ${resolve(cwd, path)} is not a directory`, { volume: name });
  return { name, directory: path };
}

/** What a new holdfast.yaml names; undefined for the default. */
function repositoryToName({ global, cwd }: CommandContext<Options>): string | undefined {
  return global.repository === undefined ? undefined : absoluteUrl(global.repository, cwd);
}

async function writeConfiguration(
  found: DiscoveredProject,
  options: { repository?: string; listen?: string },
  file: string,
): Promise<void> {
  const { repository } = options;
  const holdsPassword = repository !== undefined && redactUrls(repository) !== repository;
  await writeNewFile(file, starterConfiguration(found, options), holdsPassword ? 0o600 : 0o644);
}

/**
 * The repository to create: the one that --repository names, or the first.
 * @throws `usage` when a configuration that was there has no such repository.
 */
function repositoryOf(configuration: Configuration, { global, cwd }: CommandContext<Options>, wasThere: boolean): RepositoryConfiguration {
  const [first] = configuration.repositories;
  const wanted = global.repository;
  const isWanted = ({ name, url }: RepositoryConfiguration) =>
    wanted !== undefined && (name === wanted || url === absoluteUrl(wanted, cwd));
  const named = configuration.repositories.find(isWanted);
  if (named === undefined && wanted !== undefined && wasThere) {
    throw new HoldfastError('usage', `${configuration.file} names no repository ${redactUrls(wanted)}`, {
      remedy: 'add it under `repositories` there, then run this again with its name',
    });
  }
  const configured = named ?? first;
  if (configured === undefined) throw new HoldfastError('configuration', `${configuration.file} names no repository`);
  return configured;
}

type Key = { password: Buffer; madeAt: string | undefined };

/** The password of the new repository: what is there already, else a key file with 256 random bits. */
async function provideKey(context: CommandContext<Options>, configured: RepositoryConfiguration): Promise<Key> {
  const { global, environment, cwd } = context;
  const { passwordFile, passwordCommand } = global;
  const file = passwordFile === undefined ? configured.passwordFile : resolve(cwd, passwordFile);
  const { HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND, HOLDFAST_PASSWORD } = environment;
  const given = passwordCommand ?? HOLDFAST_PASSWORD_FILE ?? HOLDFAST_PASSWORD_COMMAND ?? HOLDFAST_PASSWORD;
  const makes = passwordFile !== undefined || given === undefined;
  if (file !== undefined && makes && !(await stat(file).catch(() => undefined))) return { password: await makeKeyFile(file), madeAt: file };
  return {
    password: await findPassword({ file: passwordFile, command: passwordCommand, environment, configured, cwd }),
    madeAt: undefined,
  };
}

/** @returns whether the repository was created; false when it was there and this key opens it. */
async function createOrOpen(storage: Storage, { password }: Key, formatVersion: 1 | 2, polynomial: bigint | undefined): Promise<boolean> {
  const { username, hostname } = processOwner();
  try {
    await createRepository(storage, {
      password,
      cost: costOf(password),
      chunkerPolynomial: polynomial ?? randomPolynomial(),
      owner: { username, hostname },
      now: new Date(),
      formatVersion,
    });
    return true;
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'repository-exists') throw error;
    const { config } = await openRepository(storage, password);
    if (polynomial === undefined || polynomial === config.chunkerPolynomial) return false;
    throw error;
  }
}

type Done = {
  configuration: Configuration;
  configured: RepositoryConfiguration;
  found: DiscoveredProject | undefined;
  key: Key;
  created: boolean;
  file: string;
};

function tell({ output }: CommandContext<Options>, { configuration, configured, found, key, created, file }: Done): void {
  const volumes = configuration.volumes.map(({ name }) => name);
  output.document({
    configuration: file,
    configurationWritten: found !== undefined,
    repository: configured.name,
    repositoryCreated: created,
    keyFile: key.madeAt,
    volumes,
  });
  if (found)
    output.line(`wrote ${displayText(file)}: ${volumes.length} ${volumes.length === 1 ? 'volume' : 'volumes'} (${volumes.join(', ')})`);
  if (key.madeAt) output.line(`wrote ${displayText(key.madeAt)}: the key of the repository`);
  output.line(`${created ? 'created' : 'found'} the repository "${configured.name}"`);
  for (const remark of found?.remarks ?? []) output.warning(remark);
  for (const gap of found?.notCovered ?? []) {
    output.warning(
      `not covered: ${gap.kind === 'bind' ? `bind mount ${gap.from}` : 'anonymous volume'} at ${gap.path} of service ${gap.service}`,
    );
  }
  if (key.madeAt)
    output.note(`\nKEEP A COPY OF ${key.madeAt} ELSEWHERE, NOW: off this host. Without it, nobody can read the backups, ever.`);
}
