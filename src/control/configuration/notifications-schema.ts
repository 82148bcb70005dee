import * as z from 'zod/mini';
import { notificationEvents, notificationKinds } from './configuration.ts';
import { clock } from './daemon-schema.ts';
import { defaults } from './defaults.ts';
import { cron, duration, key, mapping, required, text, texts, timeout, timeZone, weekdays } from './schema-parts.ts';

/** Who is told, and how. Which keys go with which kind is for notification-mistakes.ts to say. */

const variable = () => {
  const expected = 'the name of an environment variable';
  return z.string({ error: expected }).check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, expected));
};
const secret = () =>
  z.strictObject(
    {
      environment: key(variable(), { description: 'The environment variable that holds it.' }),
      file: key(text('the path of a file'), { description: 'The file that holds it; relative to this file.' }),
    },
    mapping('`environment` or `file`, which hold the secret; it does not belong here'),
  );
const port = 'a whole number from 1 to 65535';

export const notification = z.strictObject(
  {
    kind: required(z.enum(notificationKinds), 'How.'),
    on: key(z.array(z.enum(notificationEvents), { error: 'a list of what is told' }), {
      description: 'What is told.',
      default: defaults.notification.on,
    }),
    volumes: key(texts('the name of a volume'), { description: 'Of what concerns single volumes, only these; all when left out.' }),
    criticality: key(z.array(z.enum(['critical', 'moderate', 'low']), { error: 'a list of `critical`, `moderate`, `low`' }), {
      description: 'Of what concerns single volumes, only those of this criticality; all when left out.',
    }),
    quiet: key(
      z.strictObject(
        {
          from: required(clock(), 'Begin.'),
          to: required(clock(), 'End; before `from`, it is on the next day.'),
          days: key(z.array(z.enum(weekdays), { error: 'a list of days' }), { description: 'On which days it begins; all when left out.' }),
          timeZone: key(timeZone(), { description: "IANA name; the machine's own when left out." }),
        },
        mapping('`from`, `to`, `days`, `timeZone`'),
      ),
      { description: 'When nothing is sent; it comes afterwards.' },
    ),
    digest: key(cron(), { description: 'When a digest is sent, if `on` has it.', default: defaults.notification.digest }),
    timeZone: key(timeZone(), { description: "Of `digest`: IANA name; the machine's own when left out." }),
    timeout: key(timeout(), { description: 'How long an attempt may take.', default: defaults.notification.timeout }),
    url: key(text('a URL'), { description: 'Where to; without user, password or query, which are secrets.' }),
    urlFrom: key(secret(), { description: 'Where the URL is found.' }),
    tokenFrom: key(secret(), { description: 'Where the token is found.' }),
    body: key(text('a template'), { description: 'Of a webhook: what is sent, with `{{fields}}`.' }),
    contentType: key(text('a media type'), { description: 'Of a webhook with `body`.', default: defaults.notification.contentType }),
    topic: key(text('the name of a topic'), { description: 'Of ntfy.' }),
    host: key(text('the name of a host'), { description: 'Of e-mail: the server.' }),
    port: key(z.int({ error: port }).check(z.gte(1, port), z.lte(65535, port)), { description: 'Of e-mail; 465 with `tls`, else 587.' }),
    security: key(z.enum(['tls', 'starttls', 'none']), {
      description: 'Of e-mail: how the connection is protected.',
      default: defaults.notification.security,
    }),
    ca: key(text('the path of a file'), { description: 'Of e-mail: PEM, authorities that are trusted instead of those of Node.' }),
    user: key(text('a user'), { description: 'Of e-mail: as whom.' }),
    passwordFrom: key(secret(), { description: "Of e-mail: where the user's password is found." }),
    from: key(text('an address'), { description: 'Of e-mail: the sender.' }),
    to: key(texts('an address'), { description: 'Of e-mail: who gets it.' }),
    run: key(z.array(text('a word')).check(z.minLength(1, 'a program and its arguments')), {
      description: 'Of a command: a program and its arguments; it gets the message as JSON on its standard input.',
    }),
    watch: key(z.enum(['daemon', 'backup', 'forget', 'check', 'copy', 'drill', 'usage']), {
      description: 'Of healthchecks: the daemon, or jobs of this kind.',
      default: defaults.notification.watch,
    }),
    schedule: key(text('the name of a schedule'), { description: 'Of healthchecks: jobs of this schedule, instead of `watch`.' }),
    repository: key(text('the name of a repository'), {
      description: 'Of healthchecks that watch jobs of a kind: only those of this repository.',
    }),
    every: key(duration(), { description: 'Of healthchecks that watch the daemon: how often.', default: defaults.notification.every }),
  },
  mapping('`kind`, `on`, and where to'),
);
