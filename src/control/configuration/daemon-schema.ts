import * as z from 'zod/mini';
import { defaults } from './defaults.ts';
import { cron, duration, key, mapping, rate, required, text, texts, timeZone, truth } from './schema-parts.ts';

/** What `holdfast up` reads: schedules, the upkeep of repositories, and how it runs. */

const wholeNumber = (least: number, most: number) => {
  const error = `a whole number from ${least} to ${most}`;
  return z.int({ error }).check(z.gte(least, error), z.lte(most, error));
};

/** When something is done: one of `cron` and `every`, which reference-mistakes.ts sees to. */
const when = {
  cron: key(cron(), { description: 'When: minute hour day-of-month month day-of-week.' }),
  every: key(duration(), { description: 'Or: so long after the time before.' }),
  timeZone: key(timeZone(), { description: "IANA name; the machine's own when left out." }),
  jitter: key(duration(), { description: 'It begins by chance up to so much later, so that hosts do not all begin at once.' }),
};

/** How hard it is tried. */
const effort = {
  priority: key(wholeNumber(0, 9), { description: 'What waits with a higher number goes first.' }),
  deadline: key(duration(), { description: 'It is ended when it takes longer.', default: defaults.job.deadline }),
  attempts: key(wholeNumber(1, 20), {
    description: 'How often it is tried, with longer and longer waits.',
    default: defaults.job.attempts,
  }),
};

const repositoryName = () => text('the name of a repository');
export const schedule = z.strictObject(
  {
    ...when,
    to: key(repositoryName(), { description: 'Back up to this repository; the first when left out.' }),
    volumes: key(texts('the name of a volume'), { description: 'Only these; all when left out.' }),
    copy: key(
      z.strictObject(
        {
          from: required(repositoryName(), 'The repository that snapshots are copied from.'),
          to: required(repositoryName(), 'The repository that they are copied to.'),
        },
        mapping('`from` and `to`'),
      ),
      { description: 'Copy snapshots from one repository to another, instead of a backup.' },
    ),
    ...effort,
  },
  mapping('`cron` or `every`, and `to` or `copy`'),
);

const enabled = (value: boolean) => key(truth(), { description: 'Whether it is done.', default: value });

export const maintenance = z.strictObject(
  {
    forget: key(
      z.strictObject({ enabled: enabled(defaults.maintenance.forget.enabled), ...when, ...effort }, mapping('when retention is applied')),
      {
        description: 'Forgets what retention lets go, and prunes, in every repository.',
      },
    ),
    check: key(
      z.strictObject(
        {
          enabled: enabled(defaults.maintenance.check.enabled),
          ...when,
          ...effort,
          reread: key(duration(), {
            description: 'In so much time, all stored data is read once, a part at each check.',
            default: defaults.maintenance.check.reread,
          }),
        },
        mapping('when repositories are checked'),
      ),
      { description: 'Verifies every repository.' },
    ),
    usage: key(
      z.strictObject({ enabled: enabled(defaults.maintenance.usage.enabled), ...when, ...effort }, mapping('when volumes are measured')),
      {
        description: 'Measures how full the volumes are.',
      },
    ),
  },
  mapping('`forget`, `check` and `usage`'),
);

export const drills = z.strictObject(
  { enabled: enabled(defaults.drills.enabled), ...when, ...effort },
  mapping('`enabled`, and `cron` or `every`'),
);

export const clock = () => {
  const expected = 'a time of day such as `08:30`';
  return z.string({ error: expected }).check(z.regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, expected));
};

export const daemon = z.strictObject(
  {
    listen: key(text('`HOST:PORT`, or the path of a socket'), { description: 'Where the API listens.', default: defaults.daemon.listen }),
    tls: key(
      z.strictObject(
        { certificate: required(text('the path of a file'), 'PEM, with its chain.'), key: required(text('the path of a file'), 'PEM.') },
        mapping('`certificate` and `key`'),
      ),
      { description: 'The API speaks TLS; needed to listen elsewhere than on this host, unless `behindProxy`.' },
    ),
    behindProxy: key(truth(), { description: 'A reverse proxy does TLS.', default: defaults.daemon.behindProxy }),
    jobs: key(wholeNumber(1, 64), { description: 'So many jobs run at a time.', default: defaults.daemon.jobs }),
    limits: key(
      z.strictObject(
        {
          upload: key(rate(), { description: 'All jobs together send so much a second at most.' }),
          download: key(rate(), { description: 'All jobs together fetch so much a second at most.' }),
        },
        mapping('`upload` and `download`'),
      ),
      { description: 'Bandwidth, shared evenly by the jobs that may run at a time.' },
    ),
    quietHours: key(
      z.array(
        z.strictObject(
          {
            from: required(clock(), 'Begin.'),
            to: required(clock(), 'End; before `from`, it is on the next day.'),
            days: key(texts('one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`'), {
              description: 'On which days it begins; all when left out.',
            }),
            timeZone: key(timeZone(), { description: "IANA name; the machine's own when left out." }),
            backups: key(truth(), { description: 'Whether backups begin all the same.', default: true }),
          },
          mapping('`from`, `to`, `days`, `timeZone`, `backups`'),
        ),
        { error: 'a list of times' },
      ),
      { description: 'When no job begins, but backups.' },
    ),
    history: key(duration(), {
      description: 'How long old jobs, alerts, measurements and the audit log are kept.',
      default: defaults.daemon.history,
    }),
  },
  mapping('`listen`, `jobs` and so on'),
);
