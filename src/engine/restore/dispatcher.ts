/** Hands calls to lanes, as many at once as keep them busy, and holds the caller back when more wait. */
import type { Lane } from '../lanes/pool.ts';
import type { LaneCall } from './messages.ts';

/** A lane that has more calls than it works on never idles while the main thread walks. */
const callsAhead = 2;
const maxWaiting = 4;

type Task = { call: LaneCall; done: (reply: never) => void };

export class Dispatcher {
  private readonly idle: Lane[] = [];
  private readonly waiting: Task[] = [];
  private running = 0;
  private failure: { error: unknown } | undefined;
  private wake: (() => void)[] = [];

  /** @param callsAtOnce how many calls a lane works on at the same time. */
  constructor(lanes: readonly Lane[], callsAtOnce: number) {
    for (let i = 0; i < callsAtOnce + callsAhead; i++) this.idle.push(...lanes);
  }

  /** `done` gets the lane's reply; what it throws stops everything. */
  submit<Reply>(call: LaneCall, done: (reply: Reply) => void): void {
    this.waiting.push({ call, done: done as Task['done'] });
    this.start();
  }

  get busy(): boolean {
    return this.running > 0 || this.waiting.length > 0;
  }

  /** Resolves when another call is welcome. @throws what a lane or a `done` threw. */
  async room(): Promise<void> {
    this.throwFailure();
    while (this.waiting.length > maxWaiting) await this.change();
  }

  /** Resolves when something has finished, or nothing is under way. @throws as {@link room}. */
  async change(): Promise<void> {
    this.throwFailure();
    if (this.busy) await new Promise<void>((resolve) => this.wake.push(resolve));
    this.throwFailure();
  }

  /** Starts nothing any more, and resolves when no lane works: only then may descriptors be closed. Never throws. */
  async stop(): Promise<void> {
    this.waiting.length = 0;
    this.failure ??= { error: new Error('the restore was stopped') };
    while (this.running > 0) await new Promise<void>((resolve) => this.wake.push(resolve));
  }

  private throwFailure(): void {
    if (this.failure) throw this.failure.error;
  }

  private start(): void {
    while (this.failure === undefined && this.waiting.length > 0) {
      const lane = this.idle.shift();
      if (lane === undefined) return;
      this.run(lane, this.waiting.shift() as Task);
    }
  }

  private run(lane: Lane, task: Task): void {
    this.running++;
    lane
      .call<never>(task.call)
      .then((reply) => {
        if (this.failure === undefined) task.done(reply);
      })
      .catch((error: unknown) => {
        this.failure ??= { error };
        this.waiting.length = 0;
      })
      .finally(() => {
        this.running--;
        this.idle.push(lane);
        this.start();
        const { wake } = this;
        this.wake = [];
        for (const resolve of wake) resolve();
      });
  }
}
