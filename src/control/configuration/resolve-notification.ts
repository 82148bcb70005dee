import { milliseconds } from './accepted.ts';
import type { Destination, NotificationConfiguration, SecretSource, UrlSource, Watched } from './configuration.ts';
import { defaults } from './defaults.ts';
import { resolvePath } from './repository-url.ts';
import { resolveQuietHours } from './resolve-daemon.ts';
import type { ConfigurationFile } from './schema.ts';

type NotificationInFile = NonNullable<ConfigurationFile['notifications']>[string];
type SecretInFile = NonNullable<NotificationInFile['urlFrom']>;

/** A section of `notifications`, with units and defaults. The file must have passed all checks. */
export function resolveNotification(name: string, given: NotificationInFile, directory: string): NotificationConfiguration {
  return {
    name,
    destination: destinationOf(given, directory),
    on: given.on ?? [...defaults.notification.on],
    volumes: given.volumes,
    criticality: given.criticality,
    quiet: given.quiet && resolveQuietHours({ ...given.quiet, backups: false }),
    digest: { cron: given.digest ?? defaults.notification.digest, timeZone: given.timeZone },
    timeoutMs: milliseconds(given.timeout ?? defaults.notification.timeout),
  };
}

function watchedOf({ watch = defaults.notification.watch, schedule, repository }: NotificationInFile): Watched {
  if (schedule !== undefined) return { what: 'schedule', schedule };
  return watch === 'daemon' ? { what: watch } : { what: watch, repository };
}

function destinationOf(given: NotificationInFile, directory: string): Destination {
  const secret = ({ environment, file }: SecretInFile): SecretSource =>
    environment === undefined
      ? { kind: 'file', path: resolvePath(directory, file as string) }
      : { kind: 'environment', variable: environment };
  const url = (): UrlSource => (given.url === undefined ? secret(given.urlFrom as SecretInFile) : { kind: 'plain', url: given.url });
  const token = given.tokenFrom && secret(given.tokenFrom);
  const { kind } = given;
  switch (kind) {
    case 'webhook':
      return { kind, url: url(), token, body: given.body, contentType: given.contentType ?? defaults.notification.contentType };
    case 'ntfy':
      return { kind, url: url(), topic: given.topic as string, token };
    case 'gotify':
      return { kind, url: url(), token: token as SecretSource };
    case 'email': {
      const security = given.security ?? defaults.notification.security;
      return {
        kind,
        host: given.host as string,
        port: given.port ?? (security === 'tls' ? 465 : 587),
        security,
        ca: given.ca === undefined ? undefined : resolvePath(directory, given.ca),
        login: given.user === undefined ? undefined : { user: given.user, password: secret(given.passwordFrom as SecretInFile) },
        from: given.from as string,
        to: given.to as string[],
      };
    }
    case 'command':
      return { kind, command: given.run as string[] };
    case 'healthchecks':
      return {
        kind,
        url: url(),
        watch: watchedOf(given),
        everyMs: milliseconds(given.every ?? defaults.notification.every),
      };
    default:
      return { kind, url: url() };
  }
}
