/** URLs of repositories may hold passwords: what is said of them must not. */

const hidden = '***';

/** `user:password@` behind `://`. What follows a port is a path, which may have an `@` of its own. */
const authorityPattern = /(:\/\/)((?:[^\s/:@[][^\s/:@]*)?):(?!\d*\/)\S*@/g;
/** `sftp:user:password@host:path`, which no storage takes. */
const shortPattern = /\b(sftp:[^\s/:@]+):\S*@/g;
/** Settings of rclone's connection strings, and of queries. */
const settingPattern = /\b([\w-]*(?:pass|secret|token|credential|access_?key)[\w-]*=)(?:"[^"]*"|'[^']*'|[^\s,:;&"']+)/gi;

/**
 * A text without the passwords of the URLs in it: of `rest:https://user:password@host/`, the password becomes asterisks. It hides too much
 * rather than too little.
 */
export const redactUrls = (text: string): string =>
  text.replaceAll(authorityPattern, `$1$2:${hidden}@`).replaceAll(shortPattern, `$1:${hidden}@`).replaceAll(settingPattern, `$1${hidden}`);
