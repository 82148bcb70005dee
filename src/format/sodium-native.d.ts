/** The part of sodium-native that the format uses; the package brings no types. */
declare module 'sodium-native' {
  const sodium: {
    /** Poly1305 with a one-time key of 32 bytes. */
    crypto_onetimeauth(mac: Buffer, message: Uint8Array, key: Buffer): void;
  };
  export default sodium;
}
