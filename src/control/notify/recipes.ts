import type { Destination } from '../configuration/configuration.ts';
import { renderTemplate } from '../configuration/notification-template.ts';
import { cut, type Message } from './message.ts';

/** What is sent to whom: the body, and what it is. */
export type Payload = { body: string; contentType: string };

const json = (value: unknown): Payload => ({ body: JSON.stringify(value), contentType: 'application/json' });

/** The message for programs: what commands and webhooks without a template get. */
export const documentOf = ({ id, project, atMs, condition, title, text, news }: Message) => ({
  id,
  project,
  time: new Date(atMs).toISOString(),
  condition,
  title,
  text,
  alerts: news.map(({ event, kind, subject, message, remedy, durationMs, atMs: newsMs }) => ({
    time: new Date(newsMs).toISOString(),
    event,
    kind,
    subject,
    message,
    ...(remedy === undefined ? {} : { remedy }),
    ...(durationMs === undefined ? {} : { durationMs }),
  })),
});

export function webhookPayload({ body, contentType }: Extract<Destination, { kind: 'webhook' }>, message: Message): Payload {
  const document = documentOf(message);
  if (body === undefined) return json(document);
  const { alerts, ...texts } = document;
  return {
    body: renderTemplate(body, { ...texts, count: String(alerts.length), alerts: JSON.stringify(alerts) }, contentType),
    contentType,
  };
}

/** `&`, `<` and `>` are all that means something in a text (https://docs.slack.dev/messaging/formatting-message-text). */
export const slackPayload = ({ title, text }: Message): Payload =>
  json({ text: cut(`*${escapeSlack(title)}*\n${escapeSlack(text)}`, 3_900) });
const escapeSlack = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** In Markdown: what a text from outside calls a link must not hide where it leads. */
const withoutLinks = (text: string): string => text.replace(/[[\]]/g, '\\$&');

/** At most 2,000 characters; mentions nobody, whatever is in the text (https://discord.com/developers/docs/resources/webhook). */
export const discordPayload = ({ title, text }: Message): Payload =>
  json({ content: cut(`**${title.replace(/[*_`~|\\[\]]/g, '\\$&')}**\n${withoutLinks(text)}`, 2_000), allowed_mentions: { parse: [] } });

/** An Adaptive Card, as workflows of Teams take it (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using). */
export const teamsPayload = ({ title, text, condition }: Message): Payload => {
  const color = { broken: 'attention', 'at-risk': 'warning', good: 'good' }[condition];
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [
      { type: 'TextBlock', text: withoutLinks(title), weight: 'bolder', wrap: true, color },
      { type: 'TextBlock', text: withoutLinks(cut(text, 16_000)).replaceAll('\n', '\n\n'), wrap: true },
    ],
  };
  return json({ type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content }] });
};

/** Priorities 1 to 5; a text above 4,096 bytes would become an attachment (https://docs.ntfy.sh/publish/#publish-as-json). */
export const ntfyPayload = (topic: string, { title, text, condition }: Message): Payload =>
  json({ topic, title, message: cut(text, 1_300), priority: { broken: 5, 'at-risk': 4, good: 3 }[condition], tags: [condition] });

/** Priorities 0 to 10 (https://gotify.net/docs/pushmsg). */
export const gotifyPayload = ({ title, text, condition }: Message): Payload =>
  json({ title, message: text, priority: { broken: 8, 'at-risk': 5, good: 2 }[condition] });
