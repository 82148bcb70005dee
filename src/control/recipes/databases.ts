/** Databases, dumped by their own tools in their containers into files of this host. Passwords are those of the containers' environments. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { KnownApp } from '../configuration/configuration.ts';

export type DumpContext = { containers: Containers; id: string; name: string; signal: AbortSignal };

/** The folder of dumps in a snapshot. */
const dumpFolder = 'holdfast-dump';
/** What writes nothing for so long is taken for dead; all of a dump may take as long as it takes. */
const longestDumpMs = 24 * 60 * 60 * 1000;
const shortMs = 60_000;

type Dump = { file: string; script: string; argument?: string; mustEndWith?: RegExp };

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: for the shell
const postgres = 'export PGUSER="${POSTGRES_USER:-postgres}" PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"; ';
const mysql = 'export MYSQL_PWD="${MYSQL_ROOT_PASSWORD:-$MARIADB_ROOT_PASSWORD}"; ';
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: for the shell
const mysqlOptions = '--user=root --single-transaction --quick --routines --events --triggers --all-databases';

/** mysqldump writes this last, and nothing when it was cut short. */
const mysqlEnd = /-- Dump completed[^\n]*\n?$/;

/** With a password, mongodump takes it from a file that is none, so that it is in nobody's list of processes. */
const mongo = `if [ -n "$MONGO_INITDB_ROOT_USERNAME" ]; then
exec mongodump --quiet --archive --username "$MONGO_INITDB_ROOT_USERNAME" --authenticationDatabase admin --config /dev/fd/3 3<<END
password: "$MONGO_INITDB_ROOT_PASSWORD"
END
fi
exec mongodump --quiet --archive`;

const dumps: Record<Exclude<KnownApp, 'redis' | 'postgres' | 'sqlite'>, Dump> = {
  mysql: { file: 'all-databases.sql', script: `${mysql}exec mysqldump ${mysqlOptions}`, mustEndWith: mysqlEnd },
  mariadb: {
    file: 'all-databases.sql',
    script: `${mysql}if command -v mariadb-dump >/dev/null; then exec mariadb-dump ${mysqlOptions}; fi; exec mysqldump ${mysqlOptions}`,
    mustEndWith: mysqlEnd,
  },
  mongo: { file: 'all-databases.archive', script: mongo },
};

/**
 * Writes dumps of all databases below `folder`, which it makes: `holdfast-dump/...`. Each file is complete, or this throws.
 * @throws `dump-failed`, `interrupted`, and what the engine says.
 */
export async function dumpDatabases(app: Exclude<KnownApp, 'redis' | 'sqlite'>, folder: string, context: DumpContext): Promise<void> {
  const into = join(folder, dumpFolder);
  await mkdir(into, { recursive: true, mode: 0o700 });
  const wanted = app === 'postgres' ? await postgresDumps(context) : [dumps[app]];
  for (const dump of wanted) await writeDump(dump, into, context);
}

/** Roles and tablespaces, and each database but the templates. */
async function postgresDumps(context: DumpContext): Promise<Dump[]> {
  const list = `${postgres}exec psql --no-psqlrc --quiet --tuples-only --no-align --record-separator-zero --dbname=template1 --command='SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1'`;
  const { containers, id, signal } = context;
  const { exitCode, stdout, stderr } = await containers.exec(id, ['sh', '-c', list], { timeoutMs: shortMs, signal });
  if (exitCode !== 0) throw failed(context, 'psql', exitCode, stderr);
  const databases = stdout
    .split('\0')
    .map((name) => name.replace(/\n$/, ''))
    .filter((name) => name !== '');
  return [
    {
      file: 'globals.sql',
      script: `${postgres}exec pg_dumpall --globals-only`,
      mustEndWith: /cluster dump complete\n--\n(\n?\\unrestrict [^\n]*\n)?\s*$/,
    },
    ...databases.map((database) => ({
      file: `${encodeURIComponent(database)}.dump`,
      // Not compressed: what did not change since the last dump is not stored again.
      script: `${postgres}exec pg_dump --format=custom --compress=0 --dbname="dbname='$(printf %s "$1" | sed "s/[\\\\']/\\\\\\\\&/g")'"`,
      argument: database,
    })),
  ];
}

async function writeDump({ file, script, argument, mustEndWith }: Dump, into: string, context: DumpContext): Promise<void> {
  const { containers, id, signal } = context;
  const path = join(into, file);
  const handle = await open(path, 'wx', 0o600);
  let end = '';
  try {
    const { exitCode, stderr } = await containers.exec(id, ['sh', '-c', script, 'sh', ...(argument === undefined ? [] : [argument])], {
      timeoutMs: longestDumpMs,
      signal,
      async onOutput(bytes) {
        await handle.writeFile(bytes);
        end = (end + Buffer.from(bytes).toString('latin1')).slice(-1000);
      },
    });
    if (exitCode !== 0) throw failed(context, file, exitCode, stderr);
    if (end === '' || (mustEndWith !== undefined && !mustEndWith.test(end)))
      throw failed(context, file, exitCode, 'the dump is not complete');
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    throw new HoldfastError('dump-failed', `cannot write ${path}: ${(cause as Error).message}`, {
      file: path,
      cause,
      remedy: 'a dump needs room on this host while it is stored: make some, or name another folder with HOLDFAST_STATE_DIR',
    });
  } finally {
    await handle.close();
  }
}

const failed = ({ name }: DumpContext, what: string, exitCode: number, words: string) =>
  new HoldfastError('dump-failed', `container ${name}: ${what} ended with exit code ${exitCode}: ${words.trim().slice(-500)}`);
