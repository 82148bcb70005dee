/** What a tar archive consists of, for its reader and its writer. */
import type { ExtendedAttribute } from '../../model/node.ts';
import type { RawString } from '../../model/raw-bytes.ts';

export type TarMetadata = {
  /** To be written: relative, without a slash at the end; '' is the directory itself that the archive is of. As read: whatever stands there. */
  path: RawString;
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Names; '' when unknown. */
  user: string;
  group: string;
  mtimeSec: number;
  mtimeNsec: number;
  attributes: readonly ExtendedAttribute[];
};

/** Its content: the bytes, holes filled, once; they need not be read. A piece is valid until the next is asked for. */
export type TarFile = TarMetadata & { type: 'file'; sizeBytes: number; content: AsyncIterable<Uint8Array> };

export type TarEntry =
  | TarFile
  | (TarMetadata &
      (
        | { type: 'dir' | 'fifo' }
        | { type: 'symlink'; target: RawString }
        /** Another name of an entry that came before. */
        | { type: 'link'; target: RawString }
        | { type: 'chardev' | 'dev'; major: number; minor: number }
      ));
