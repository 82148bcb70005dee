/**
 * Replaces `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}` and `${NAME?error}` as Compose does; `$$` is
 * a dollar. A name without value or default becomes nothing, and is told to `onUnset`.
 */
export function interpolate(text: string, variables: Record<string, string | undefined>, onUnset: (name: string) => void): string {
  let out = '';
  for (let at = 0; at < text.length; ) {
    const match = /^\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*))/.exec(text.slice(at));
    if (match === null) {
      out += text[at];
      at += 1;
      continue;
    }
    const [whole, dollar, bare, braced] = match;
    at += whole.length;
    if (dollar !== undefined) out += '$';
    else if (bare !== undefined) out += valueOf(bare, '', '', variables, onUnset);
    else {
      const end = closingBrace(text, at);
      const [, operator, word] = /^(:?[-+?])?([\s\S]*)$/.exec(text.slice(at, end)) as unknown as [string, string | undefined, string];
      out += valueOf(braced as string, operator ?? '', word, variables, onUnset);
      at = end + 1;
    }
  }
  return out;
}

function valueOf(
  name: string,
  operator: string,
  word: string,
  variables: Record<string, string | undefined>,
  onUnset: (name: string) => void,
): string {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
  const given = value !== undefined && (value !== '' || !operator.startsWith(':'));
  if (operator.endsWith('+')) return given ? interpolate(word, variables, onUnset) : '';
  if (given) return value;
  if (operator.endsWith('-')) return interpolate(word, variables, onUnset);
  onUnset(name);
  return '';
}

/** Where the brace that is open at `start` closes; the end of the text when it never does. */
function closingBrace(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at += 1) {
    if (text.startsWith('${', at)) depth += 1;
    else if (text[at] === '}') depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}
