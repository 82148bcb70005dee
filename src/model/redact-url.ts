/** URLs of repositories may hold passwords: what is said of them must not. */

const hidden = '***';

/** `user:password@` behind `://`. What follows a port is a path, which may have an `@` of its own. */
const authorityPattern = /(:\/\/)((?:[^\s/:@[][^\s/:@]*)?):(?!\d*\/)\S*@/g;
/** `sftp:user:password@host:path`, which no storage takes. */
const shortPattern = /\b(sftp:[^\s/:@]+):\S*@/g;
const settingName = /(?<![\w-])[\w-]+=/g;
const settingValue = /"[^"]*"|'[^']*'|[^\s,:;&"']+/y;
/** Settings of rclone's connection strings, and of queries. */
const secretName = /pass|secret|token|credential|access_?key/i;

/**
 * A text without the passwords of the URLs in it: of `rest:https://user:password@host/`, the password becomes asterisks. It hides too much
 * rather than too little. Takes time in proportion to the text, which may be anybody's.
 */
export const redactUrls = (text: string): string => withoutSettings(text.replace(/\S+/g, withoutLogins));

function withoutSettings(text: string): string {
  let [shown, done] = ['', 0];
  for (const { 0: name, index } of text.matchAll(settingName)) {
    if (index < done || !secretName.test(name)) continue;
    settingValue.lastIndex = index + name.length;
    if (!settingValue.test(text)) continue;
    shown += text.slice(done, index) + name + hidden;
    done = settingValue.lastIndex;
  }
  return shown + text.slice(done);
}

/** Of a word. No password reaches beyond its last `@`: up to there, the first match is the only one. */
function withoutLogins(word: string): string {
  const end = word.lastIndexOf('@') + 1;
  const login = word.slice(0, end).replace(authorityPattern, `$1$2:${hidden}@`).replace(shortPattern, `$1:${hidden}@`);
  return login + word.slice(end);
}
