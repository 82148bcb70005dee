/** Where text goes: `process.stdout` and `process.stderr`, or what a test reads back. */
export type Sink = { write(text: string): unknown; isTTY?: boolean | undefined; columns?: number | undefined };
