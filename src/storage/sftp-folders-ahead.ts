/**
 * Folders that are opened before they are listed: over a long line, a listing then takes one round trip, not two.
 *
 * Servers may show a folder as it was when it was opened. So only what goes before that counts: requests are carried out as if each had
 * waited for the one before it (draft-ietf-secsh-filexfer-02, section 6.1).
 */
import type { SftpClient } from './sftp-client.ts';
import { extensions } from './sftp-protocol.ts';

/** Who does not list it by then, after the server's answer, gets a fresh one. */
const longestMs = 1_000;

/** `shows`: a name that the listing must have; else the folder was opened too early. */
type OpenedAhead = { handle: Buffer; shows: string | undefined };

type Ahead = { client: SftpClient; handle: Promise<Buffer>; shows: string | undefined };

export class FoldersAhead {
  private readonly opened = new Map<string, Ahead>();

  /** Asks for a folder, if the server is OpenSSH's or takes after it: not all others keep the order of requests. */
  open(client: SftpClient, folder: string, shows?: string): void {
    if (!client.has(extensions.fsync)) return;
    this.forget(folder);
    const ahead = { client, handle: client.openFolder(folder), shows };
    this.opened.set(folder, ahead);
    const expire = () => void setTimeout(() => this.opened.get(folder) === ahead && this.forget(folder), longestMs).unref();
    // Whoever lists it opens it anew, and is told.
    ahead.handle.then(expire, () => undefined);
  }

  /** The caller closes it. Undefined when it was not opened in time, on this connection. */
  async take(client: SftpClient, folder: string): Promise<OpenedAhead | undefined> {
    const ahead = this.opened.get(folder);
    if (ahead?.client !== client) return undefined;
    this.opened.delete(folder);
    const handle = await ahead.handle.catch(() => undefined);
    return handle && { handle, shows: ahead.shows };
  }

  /** Closes it: something has changed in it, or might have changed too much. */
  forget(folder: string): void {
    const ahead = this.opened.get(folder);
    if (ahead === undefined) return;
    this.opened.delete(folder);
    ahead.handle.then(
      (handle) => ahead.client.closeUnheard(handle),
      () => undefined,
    );
  }
}
