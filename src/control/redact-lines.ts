/** Names of variables that hold what nobody should read; the values of those are taken out of logs. */
const secretName = /(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|AUTH)/i;
/** Shorter ones would take out half of the text. */
const shortest = 6;

/**
 * Takes the secrets of an environment out of text. Commands redact what they know; this is for what slips through, such as the words of
 * a hook.
 */
export function createRedactor(environment: NodeJS.ProcessEnv): (text: string) => string {
  const secrets = Object.entries(environment).flatMap(([name, value]) =>
    secretName.test(name) && !/_(?:FILE|COMMAND|PATH|ID|DIR)$/i.test(name) && value !== undefined && value.length >= shortest
      ? [value]
      : [],
  );
  const forms = [...new Set(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]))];
  if (forms.length === 0) return (text) => text;
  // The longest first, so that a secret which holds another one goes as a whole.
  forms.sort((a, b) => b.length - a.length);
  return (text) => forms.reduce((rest, form) => rest.replaceAll(form, '***'), text);
}
