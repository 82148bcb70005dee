import { HoldfastError } from '../../model/errors.ts';
import type { NotificationConfiguration, SecretSource } from '../configuration/configuration.ts';
import { runWithInput } from './command.ts';
import { sendEmail } from './email.ts';
import { post } from './http.ts';
import type { Message } from './message.ts';
import {
  discordPayload,
  documentOf,
  gotifyPayload,
  ntfyPayload,
  type Payload,
  slackPayload,
  teamsPayload,
  webhookPayload,
} from './recipes.ts';
import { createSecrets, type Secrets } from './secrets.ts';

export type DeliverySettings = {
  /** That of `holdfast.yaml`: where commands run. */
  directory: string;
  environment: NodeJS.ProcessEnv;
  signal: AbortSignal;
};

/**
 * Makes one attempt to deliver a message, and returns what came back, without secrets. Healthchecks get a ping instead of the message.
 * @throws `notification-failed`, without secrets.
 */
export async function deliver(notification: NotificationConfiguration, message: Message, settings: DeliverySettings): Promise<string> {
  return withSecrets(settings.environment, (secrets) => send(notification, message, settings, secrets));
}

/** `suffix` is what the API has for starts (`/start`), exit codes (`/3`) and failures (`/fail`). @see https://healthchecks.io/docs/http_api/ */
export type Ping = { suffix: string; body: string; rid?: string };

/** Makes one attempt to ping. @throws `notification-failed`, without secrets. */
export async function ping(
  notification: NotificationConfiguration,
  { suffix, body, rid }: Ping,
  settings: DeliverySettings,
): Promise<string> {
  const { destination, timeoutMs } = notification;
  if (destination.kind !== 'healthchecks') throw new TypeError(`${notification.name} is not for pings`);
  return withSecrets(settings.environment, async (secrets) => {
    const url = await secrets.url(destination.url);
    url.pathname = url.pathname.replace(/\/$/, '') + suffix;
    if (rid !== undefined) url.searchParams.set('rid', rid);
    return post({
      url,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: body.slice(0, 10_000),
      timeoutMs,
      signal: settings.signal,
      redact: secrets.redact,
    });
  });
}

async function withSecrets(environment: NodeJS.ProcessEnv, work: (secrets: Secrets) => Promise<string>): Promise<string> {
  const secrets = createSecrets(environment);
  try {
    return secrets.redact(await work(secrets));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const { retryAfterMs } = error;
    throw new HoldfastError(error.code, secrets.redact(error.message), retryAfterMs === undefined ? {} : { retryAfterMs });
  }
}

async function send(
  notification: NotificationConfiguration,
  message: Message,
  settings: DeliverySettings,
  secrets: Secrets,
): Promise<string> {
  const { destination, timeoutMs } = notification;
  const { directory, environment, signal } = settings;
  const postTo = async (url: URL, { body, contentType }: Payload, headers: Record<string, string> = {}) =>
    post({ url, headers: { 'content-type': contentType, ...headers }, body, timeoutMs, signal, redact: secrets.redact });
  const bearer = async (token: SecretSource | undefined): Promise<Record<string, string>> =>
    token === undefined ? {} : { authorization: `Bearer ${await secrets.read(token)}` };
  switch (destination.kind) {
    case 'webhook': {
      const headers = { ...(await bearer(destination.token)), 'idempotency-key': message.id };
      return postTo(await secrets.url(destination.url), webhookPayload(destination, message), headers);
    }
    case 'slack':
      return postTo(await secrets.url(destination.url), slackPayload(message));
    case 'discord':
      return postTo(await secrets.url(destination.url), discordPayload(message));
    case 'teams':
      return postTo(await secrets.url(destination.url), teamsPayload(message));
    case 'ntfy':
      return postTo(await secrets.url(destination.url), ntfyPayload(destination.topic, message), await bearer(destination.token));
    case 'gotify': {
      const url = await secrets.url(destination.url);
      url.pathname = `${url.pathname.replace(/\/$/, '')}/message`;
      return postTo(url, gotifyPayload(message), { 'x-gotify-key': await secrets.read(destination.token) });
    }
    case 'email':
      return sendEmail(destination, message, { secrets, timeoutMs, signal });
    case 'command':
      return runWithInput(destination.command, `${JSON.stringify(documentOf(message))}\n`, { directory, environment, timeoutMs, signal });
    case 'healthchecks':
      return ping(notification, { suffix: '', body: message.title }, settings);
  }
}
