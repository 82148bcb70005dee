/**
 * Tells when containers and volumes come or go, by the Engine's own stream of events (docs.docker.com/reference/api/engine/, `GET /events`). It is
 * asked by plain HTTP on its socket: the client of the Engine takes more memory than the daemon that waits here.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

/** As far as it matters here. Podman says `remove` where Docker says `destroy`. */
export type EngineEvent = { Type?: string; Action?: string; Actor?: { ID?: string; Attributes?: Record<string, string> } };

const filters = JSON.stringify({ type: ['container', 'volume'], event: ['create', 'destroy', 'remove'] });
/** An Engine that has not answered by then does not. */
const answerMs = 10_000;
/** Of an event that is longer nobody wants to know. */
const longest = 256 * 1024;

export type EngineWatch = {
  /** Called for each event, one after the other. */
  onEvent(event: EngineEvent): void;
  signal: AbortSignal;
};

/**
 * Watches until the connection ends, the signal aborts or the Engine is gone. Calls `onConnected` when the Engine answers: whatever happens from then on
 * is told. @throws what connecting throws, and an error with the Engine's status when it refuses.
 */
export async function watchEngine(socket: string, { onEvent, signal }: EngineWatch, onConnected: () => void): Promise<void> {
  const asked = request({ socketPath: socket, path: `/events?filters=${encodeURIComponent(filters)}`, signal });
  const timer = setTimeout(() => asked.destroy(new Error('no answer')), answerMs);
  try {
    asked.end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    clearTimeout(timer);
    if (answer.statusCode !== 200) throw new Error(`the Engine answers ${answer.statusCode}`);
    onConnected();
    let rest = '';
    for await (const text of answer.setEncoding('utf8')) {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() as string;
      if (rest.length > longest) rest = '';
      for (const line of lines) tell(line, onEvent);
    }
  } finally {
    clearTimeout(timer);
    asked.destroy();
  }
}

function tell(line: string, onEvent: (event: EngineEvent) => void): void {
  let event: EngineEvent;
  try {
    event = JSON.parse(line);
  } catch {
    // The end of one that was too long.
    return;
  }
  onEvent(event);
}
