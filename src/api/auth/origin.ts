import type { IncomingMessage } from 'node:http';
import { isIPv6, SocketAddress } from 'node:net';
import { HoldfastError } from '../../model/errors.ts';

/** By which way a request came. */
export type Way = {
  /** The Unix socket, which only this user can open. */
  local: boolean;
  /** Names and addresses that a request may be for; undefined: any. */
  hosts: ReadonlySet<string> | undefined;
  /** A reverse proxy is before it, which says whom it speaks for. */
  behindProxy: boolean;
};

/**
 * Refuses what another site's page makes a browser send. There are no cookies, so that such a page has no rights; this also keeps it from
 * finding out what runs here, by a name that leads to this host (DNS rebinding). @throws `not-permitted`.
 */
export function requireSameOrigin({ headers }: IncomingMessage, { local, hosts }: Way): void {
  const host = hostName(headers.host);
  if (!local && hosts !== undefined && (host === undefined || !hosts.has(host)))
    throw new HoldfastError('not-permitted', 'the API is not there for this Host', { remedy: 'use the address that it listens on' });
  const { origin, 'sec-fetch-site': site } = headers;
  const foreign = origin !== undefined && hostOf(origin) !== headers.host?.toLowerCase();
  if (foreign || site === 'cross-site' || site === 'same-site')
    throw new HoldfastError('not-permitted', 'the API does not answer pages of other sites', { remedy: 'use it from a program' });
}

/** Without the port. */
function hostName(host: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::\d{1,5})?$/i.exec(host ?? '')?.[1]?.toLowerCase();
}

const hostOf = (origin: string): string | undefined => (URL.canParse(origin) ? new URL(origin).host : undefined);

/**
 * The address that limits are counted by: of a proxy, the last one that it names (those before are what the client says), without the port that
 * some add. Of IPv6 the network (/64): one host has 2^64 addresses.
 */
export function addressOf(request: IncomingMessage, { local, behindProxy }: Way): string {
  if (local) return 'socket';
  const forwarded = behindProxy ? request.headers['x-forwarded-for'] : undefined;
  const last = [forwarded].flat().at(-1)?.split(',').at(-1)?.trim();
  return networkOf((last || request.socket.remoteAddress || 'unknown').slice(0, 64));
}

function networkOf(said: string): string {
  const text = said.replace(/^::ffff:(?=[\d.]+$)/i, '').replace(/%.*/, '');
  const parsed = SocketAddress.parse(isIPv6(text) ? `[${text}]` : text);
  // Some proxies name what is no address.
  if (parsed === undefined) return said;
  if (parsed.family === 'ipv4') return parsed.address;
  const [left = [], right = []] = parsed.address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
