/** Where something listens. A host is loopback when nobody on another machine can reach it. */
export type Listen = { kind: 'address'; host: string; port: number; loopback: boolean } | { kind: 'socket'; path: string };

/** `HOST:PORT`, `[IPv6]:PORT`, or a path (anything with a slash). Port 0 is any free one. Undefined when it is none of them. */
export function parseListen(text: string): Listen | undefined {
  if (text.includes('/')) return { kind: 'socket', path: text };
  const [, bracketed, plain, portText] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(portText);
  if (host === undefined || port > 65_535) return undefined;
  return { kind: 'address', host, port, loopback: isLoopback(host) };
}

/** Whether a name or address, without brackets, is this host's own, which nothing on the way can read. */
export const isLoopback = (host: string): boolean => /^(?:localhost|::1|127(?:\.\d{1,3}){3})$/i.test(host);
