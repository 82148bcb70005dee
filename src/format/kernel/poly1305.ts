import { createRequire } from 'node:module';
import { bindExecutable } from './executable.ts';

/** Writes the Poly1305 authenticator (RFC 8439, 2.5) of `message` under a one-time key of 32 bytes to the 16 bytes of `tag`. */
export type Poly1305 = (tag: Buffer, message: Uint8Array, key: Buffer) => void;

const tagBytes = 16;

const prototypes = [
  'void* EVP_MAC_fetch(void* library, const char* algorithm, const char* properties)',
  'void* EVP_MAC_CTX_new(void* mac)',
  'int EVP_MAC_init(void* context, const void* key, size_t keyLength, void* parameters)',
  'int EVP_MAC_update(void* context, const void* data, size_t length)',
  'int EVP_MAC_final(void* context, void* tag, void* tagLength, size_t capacity)',
];

type Fetch = (library: null, algorithm: string, properties: null) => unknown;
type Init = (context: unknown, key: Buffer, keyLength: number, parameters: null) => number;
type Update = (context: unknown, data: Uint8Array, length: number) => number;
type Final = (context: unknown, tag: Buffer, tagLength: Buffer, capacity: number) => number;

/** OpenSSL's, three times as fast as libsodium's where the processor has vector instructions. */
function nativePoly1305(): Poly1305 | undefined {
  const native = bindExecutable(prototypes);
  if (native === undefined) return undefined;
  const [fetch, newContext, init, update, final] = native as [Fetch, (mac: unknown) => unknown, Init, Update, Final];
  const mac = fetch(null, 'POLY1305', null);
  if (!mac) return undefined;
  const context = newContext(mac);
  const tagLength = Buffer.alloc(8);
  return (tag, message, key) => {
    if (tag.length < tagBytes || key.length !== 32) throw new RangeError('Poly1305 takes a key of 32 bytes and gives a tag of 16');
    const done =
      init(context, key, key.length, null) === 1 &&
      (message.length === 0 || update(context, message, message.length) === 1) &&
      final(context, tag, tagLength, tagBytes) === 1;
    if (!done) throw new Error('OpenSSL failed to authenticate');
  };
}

/** Loaded only where it is needed: it takes 10 ms and 3 MiB a thread. */
function portablePoly1305(): Poly1305 {
  const sodium = createRequire(import.meta.url)('sodium-native') as typeof import('sodium-native').default;
  return (tag, message, key) => sodium.crypto_onetimeauth(tag, message, key);
}

export const poly1305: Poly1305 = nativePoly1305() ?? portablePoly1305();
