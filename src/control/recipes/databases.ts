/** Databases, dumped by their own tools in their containers into files of this host. Passwords are those of the containers' environments. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../model/errors.ts';
import type { Containers } from '../../platform/containers.ts';
import type { KnownApp } from '../configuration/configuration.ts';
import { markProgram, shell } from '../hooks/marked.ts';

export type DumpContext = {
  containers: Containers;
  id: string;
  name: string;
  signal: AbortSignal;
  /** How long a dump may write nothing; default 15 minutes. */
  silenceMs?: number;
};

/** The folder of dumps in a snapshot. */
const dumpFolder = 'holdfast-dump';
/** What writes nothing for so long is taken for dead, and ended; all of a dump may take as long as it takes. */
const longestSilenceMs = 15 * 60 * 1000;
const longestDumpMs = 7 * 24 * 60 * 60 * 1000;
const shortMs = 60_000;

type Dump = { file: string; script: string; argument?: string; mustEndWith?: RegExp };

/** The official images take a secret from a file as well, which they are told of by a variable `..._FILE`. */
const secret = (variable: string): string =>
  `if [ -z "$${variable}" ] && [ -n "$${variable}_FILE" ]; then ${variable}=$(cat "$${variable}_FILE"); fi; `;

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: for the shell
const postgres = 'export PGUSER="${POSTGRES_USER:-postgres}" PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"; ';
const mysql = `${secret('MYSQL_ROOT_PASSWORD')}${secret('MARIADB_ROOT_PASSWORD')}export MYSQL_PWD="\${MYSQL_ROOT_PASSWORD:-$MARIADB_ROOT_PASSWORD}"; `;
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: for the shell
/** Without the character set, old tools lose what takes four bytes in UTF-8. */
const mysqlOptions =
  '--user=root --default-character-set=utf8mb4 --single-transaction --quick --routines --events --triggers --all-databases';

/** mysqldump writes this last, and nothing when it was cut short. */
const mysqlEnd = /-- Dump completed[^\n]*\n?$/;

/**
 * With a password, mongodump takes it from a file that is none, so that it is in nobody's list of processes. A member of a replica set (which the server
 * tells whoever asks) is dumped with its log of operations, and so as it was at one instant; others collection by collection
 * (mongodb.com/docs/database-tools/mongodump, `--oplog`).
 */
const mongo = `${secret('MONGO_INITDB_ROOT_USERNAME')}${secret('MONGO_INITDB_ROOT_PASSWORD')}
set=
for shell in mongosh mongo; do
if command -v $shell >/dev/null; then set=$($shell --quiet --norc --eval '(db.hello ? db.hello() : db.isMaster()).setName || ""' 2>/dev/null) || set=; break; fi
done
case "$set" in ""|*[!A-Za-z0-9_.-]*) set --;; *) set -- --oplog;; esac
if [ -n "$MONGO_INITDB_ROOT_USERNAME" ]; then
quoted=$(printf %s "$MONGO_INITDB_ROOT_PASSWORD" | sed 's/["\\\\]/\\\\&/g')
exec mongodump --quiet --archive "$@" --username "$MONGO_INITDB_ROOT_USERNAME" --authenticationDatabase admin --config /dev/fd/3 3<<END
password: "$quoted"
END
fi
exec mongodump --quiet --archive "$@"`;

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
  const { containers, id, name, signal, silenceMs = longestSilenceMs } = context;
  const path = join(into, file);
  const handle = await open(path, 'wx', 0o600);
  const silence = new AbortController();
  const tooQuiet = new HoldfastError(
    'dump-failed',
    `container ${name}: ${file} wrote nothing for ${Math.round(silenceMs / 1000)} s, and was ended`,
  );
  const timer = setTimeout(() => silence.abort(tooQuiet), silenceMs);
  const program = markProgram(containers, id, [shell, '-c', script, 'sh', ...(argument === undefined ? [] : [argument])]);
  let end = '';
  let exited = false;
  let unwritten: Error | undefined;
  try {
    const { exitCode, stderr } = await containers.exec(id, program.command, {
      timeoutMs: longestDumpMs,
      signal: AbortSignal.any([signal, silence.signal]),
      async onOutput(bytes) {
        await handle.writeFile(bytes).catch((error: Error) => {
          unwritten = error;
          throw error;
        });
        timer.refresh();
        end = (end + Buffer.from(bytes).toString('latin1')).slice(-1000);
      },
    });
    exited = true;
    if (exitCode !== 0) throw failed(context, file, exitCode, stderr);
    if (end === '' || (mustEndWith !== undefined && !mustEndWith.test(end)))
      throw failed(context, file, exitCode, 'the dump is not complete');
  } catch (cause) {
    // It would keep its transaction open for as long as nobody reads from it.
    if (!exited) await program.end();
    if (unwritten === undefined) throw cause;
    throw new HoldfastError('dump-failed', `cannot write ${path}: ${unwritten.message}`, {
      file: path,
      cause: unwritten,
      remedy: 'a dump needs room on this host while it is stored: make some, or name another folder with HOLDFAST_STATE_DIR',
    });
  } finally {
    clearTimeout(timer);
    await handle.close();
  }
}

const failed = ({ name }: DumpContext, what: string, exitCode: number, words: string) =>
  new HoldfastError('dump-failed', `container ${name}: ${what} ended with exit code ${exitCode}: ${words.trim().slice(-500)}`);
