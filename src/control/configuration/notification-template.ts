/** Bodies of webhooks: `{{field}}` in a text, and nothing else; there are no expressions. */

export const templateFields = ['id', 'project', 'title', 'text', 'condition', 'time', 'count', 'alerts'] as const;
export type TemplateField = (typeof templateFields)[number];
/** `alerts` is JSON already; all others are text. */
export type TemplateValues = Record<TemplateField, string>;

const placeholder = /\{\{\s*([^{}]*?)\s*\}\}/g;

/** Names of all fields that a template names, known or not. */
export const placeholdersOf = (template: string): string[] => [...template.matchAll(placeholder)].map((match) => match[1] as string);

/**
 * Fills in a template. What is put in is escaped for the media type: in JSON for the inside of a string, in
 * `application/x-www-form-urlencoded` for a value, in XML and HTML for text and quoted attributes, else not at all. `alerts` is a JSON list, which in JSON stands without quotes.
 */
export function renderTemplate(template: string, values: TemplateValues, contentType: string): string {
  const isJson = /json/i.test(contentType);
  const escape = (field: TemplateField): string => {
    const value = values[field] ?? '';
    if (/urlencoded/i.test(contentType)) return encodeURIComponent(value.toWellFormed());
    if (/xml|html/i.test(contentType)) return value.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
    return isJson && field !== 'alerts' ? JSON.stringify(value).slice(1, -1) : value;
  };
  return template.replace(placeholder, (_, name: string) => escape(name as TemplateField));
}

/** As JSON, with something in every field that shows where it does not belong. */
export const renderSample = (template: string): string =>
  renderTemplate(
    template,
    { id: 'id', project: 'project', title: 'title', text: 'te"xt', condition: 'broken', time: 'time', count: '1', alerts: '[{"a":"b"}]' },
    'application/json',
  );
