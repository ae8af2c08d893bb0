import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter, EventPage, LiveEvent, WorkspacesEventsInput } from './router.js';

type Inputs = inferRouterInputs<AppRouter>;
type Outputs = inferRouterOutputs<AppRouter>;
type Named<T> = { [R in keyof T & string]: { [V in keyof T[R] & string]: `${R}.${V}` }[keyof T[R] & string] }[keyof T & string];
type At<T, Name extends string> = Name extends `${infer R}.${infer V}`
  ? R extends keyof T
    ? V extends keyof T[R]
      ? T[R][V]
      : never
    : never
  : never;

/** The name of an operation, as in `tasks.create`. */
export type OperationName = Named<Inputs>;
/** What an operation wants. */
export type InputOf<Name extends OperationName> = Name extends 'workspaces.events' ? WorkspacesEventsInput : At<Inputs, Name>;
/** What an operation answers. */
export type OutputOf<Name extends OperationName> = Name extends 'workspaces.events' ? EventPage : At<Outputs, Name>;

/** Something ephemeral: at most once, and never in the log. */
export interface Signal {
  workspace: string;
  /** About what, as `kind:id`. */
  topic: string;
  /** What kind, as in `task:output` or `user:typing`. */
  type: string;
  data: unknown;
}

/** What Link refuses, and what to do about it. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
  readonly code: string;
  readonly retryable: boolean;
  readonly nextActions: readonly string[];

  constructor(frame: { code: string; message: string; retryable?: boolean; next_actions?: string[] }) {
    super(frame.message);
    this.code = frame.code;
    this.retryable = frame.retryable ?? false;
    this.nextActions = frame.next_actions ?? [];
  }
}

/** What is wanted of a workspace. */
export interface SubscribeOptions {
  workspace: string;
  /** Only events about these, as `kind:id`; all when absent. */
  topics?: string[];
  /** From after this offset: the last `cursor` that was stored. From now on when absent. */
  after?: number;
  /** Called with every event, in order and once, across any number of reconnects. */
  onEvent?: (event: LiveEvent) => void;
  /** Called when the cursor moved; what is stored here and given as `after` later misses nothing. */
  onCursor?: (offset: number) => void;
  /** Called when everything that had happened was delivered; live from here. */
  onCaughtUp?: (offset: number) => void;
  onSignal?: (signal: Signal) => void;
  /** Called when the cursor was beyond the log: read the state anew; events go on after `head`. */
  onReset?: (head: number, reason: string) => void;
  /** Called when the subscription ends because Link refuses it. */
  onError?: (error: LinkError) => void;
}

/** A subscription that outlives its socket. */
export interface LinkSubscription {
  /** The offset up to which everything was delivered; undefined until the server said where it begins. */
  readonly cursor: number | undefined;
  unsubscribe(): void;
}

/** What of a WebSocket is used: the browser's, Node 22's, or the one of the package `ws`. */
export interface WebSocketLike {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
}

export interface LinkSocketOptions {
  /** Where Link's socket is, as in `wss://link.example.org/ws`. */
  url: string;
  /** A token, or what fetches one; it is asked again for each connection. */
  token: string | (() => string | Promise<string>);
  /** The WebSocket to use; the global one when absent. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  /** The first wait before another try; it doubles up to `backoffMaxMs`, and a random share of it is waited. */
  backoffMs?: number;
  backoffMaxMs?: number;
  /** The most calls that may wait at once; more are refused. */
  pendingMax?: number;
  /** Called when a connection stands, and when it no longer does. */
  onState?: (state: 'connecting' | 'open' | 'closed', why?: string) => void;
}

interface Pending {
  frame: Record<string, unknown> & { id: string };
  resolve: (data: any) => void;
  reject: (error: Error) => void;
}

type Frame = Record<string, any> & { t?: string };

const OPEN = 1;
const NOT_AUTHENTICATED = 4001;
/** After this many tokens in a row that Link does not take, trying again is no use. */
const REFUSALS_MAX = 3;

/**
 * A client of `/ws` that comes back by itself: with back-off and jitter after a lost connection, each subscription after
 * its cursor, and each call that was not answered under its key, so that nothing is missed, doubled or done twice.
 */
export class LinkSocket {
  readonly #options: Required<Pick<LinkSocketOptions, 'backoffMs' | 'backoffMaxMs' | 'pendingMax'>> & LinkSocketOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #pending = new Map<string, Pending>();
  #socket: WebSocketLike | undefined;
  #ready = false;
  #closed = false;
  #failures = 0;
  #refusals = 0;
  #next = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #heard = 0;

  constructor(options: LinkSocketOptions) {
    this.#options = { backoffMs: 250, backoffMaxMs: 15_000, pendingMax: 256, ...options };
    void this.#connect();
  }

  /** Calls an operation. A mutation gets a key if none is given, so that it can be sent again without harm. */
  call<Name extends OperationName>(
    op: Name,
    ...[input, options]: undefined extends InputOf<Name>
      ? [input?: InputOf<Name>, options?: { key?: string }]
      : [input: InputOf<Name>, options?: { key?: string }]
  ): Promise<OutputOf<Name>> {
    if (this.#closed) return Promise.reject(new Error('the socket is closed'));
    if (this.#pending.size >= this.#options.pendingMax) {
      return Promise.reject(new LinkError({ code: 'too_many_requests', message: 'too many calls wait', retryable: true }));
    }
    const id = `c${this.#next++}`;
    const frame = { t: 'call', id, op, input: input ?? {}, key: options?.key ?? randomKey() };
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { frame, resolve, reject });
      if (this.#ready) this.#send(frame);
    });
  }

  /** Subscribes to a workspace; a second subscription to the same one takes the place of the first. */
  subscribe(options: SubscribeOptions): LinkSubscription {
    const subscription = new Subscription(`s${this.#next++}`, options);
    this.#subscriptions.set(options.workspace, subscription);
    if (this.#ready) this.#send(subscription.frame());
    const unsubscribe = () => {
      if (this.#subscriptions.get(options.workspace) !== subscription) return;
      this.#subscriptions.delete(options.workspace);
      if (this.#ready) this.#send({ t: 'unsubscribe', id: `u${this.#next++}`, workspace: options.workspace });
    };
    return {
      get cursor() {
        return subscription.cursor;
      },
      unsubscribe,
    };
  }

  /** Ends the socket for good; calls that wait are rejected. */
  close(): void {
    this.#end(new Error('the socket was closed'));
  }

  async #connect(): Promise<void> {
    this.#options.onState?.('connecting');
    let token: string;
    try {
      token = typeof this.#options.token === 'string' ? this.#options.token : await this.#options.token();
    } catch (error) {
      return this.#again(`no token: ${String(error)}`);
    }
    if (this.#closed) return;
    const Socket = this.#options.WebSocket ?? (globalThis as { WebSocket?: LinkSocketOptions['WebSocket'] }).WebSocket;
    if (!Socket) return this.#end(new Error('there is no WebSocket here: give one in the options'));
    const socket = new Socket(this.#options.url, ['link.v1.json']);
    this.#socket = socket;
    const current = (then: () => void) => {
      if (this.#socket === socket) then();
    };
    socket.onopen = () => current(() => socket.send(JSON.stringify({ t: 'hello', token, client: '@link/client' })));
    socket.onmessage = (event) => current(() => this.#received(JSON.parse(String(event.data)) as Frame));
    // What went wrong is told by `close`, which always follows.
    socket.onerror = () => {};
    socket.onclose = (event) => current(() => this.#lost(event.code, event.reason));
  }

  #lost(code: number | undefined, reason: string | undefined): void {
    this.#refusals = code === NOT_AUTHENTICATED && !this.#ready ? this.#refusals + 1 : 0;
    if (this.#refusals >= REFUSALS_MAX) {
      return this.#end(new LinkError({ code: 'unauthenticated', message: reason || 'the token is not good' }));
    }
    this.#again(reason || `closed with ${code}`);
  }

  #again(why: string): void {
    this.#detach();
    if (this.#closed) return;
    this.#options.onState?.('closed', why);
    const most = Math.min(this.#options.backoffMaxMs, this.#options.backoffMs * 2 ** this.#failures++);
    // Half of the wait is random: after a restart not everyone comes at once.
    this.#retry = setTimeout(() => void this.#connect(), most / 2 + (Math.random() * most) / 2);
  }

  #detach(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#beat);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    if (socket && socket.readyState <= OPEN) socket.close();
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    const subscriptions = [...this.#subscriptions.values()];
    this.#subscriptions.clear();
    if (error instanceof LinkError) for (const { options } of subscriptions) options.onError?.(error);
    this.#options.onState?.('closed', error.message);
  }

  #send(frame: object): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #received(frame: Frame): void {
    this.#heard = Date.now();
    switch (frame.t) {
      case 'welcome':
        return this.#welcomed(Number(frame['heartbeat_ms']) || 20_000);
      case 'ok':
      case 'error':
        return this.#answered(frame);
      case 'goodbye':
        // The close that follows brings the client back.
        return;
      default:
        if (typeof frame['workspace'] === 'string') this.#subscriptions.get(frame['workspace'])?.received(frame);
    }
  }

  #welcomed(heartbeatMs: number): void {
    this.#ready = true;
    this.#failures = 0;
    this.#refusals = 0;
    this.#options.onState?.('open');
    for (const subscription of this.#subscriptions.values()) this.#send(subscription.frame());
    for (const { frame } of this.#pending.values()) this.#send(frame);
    // A connection that died without a word is noticed by its silence.
    this.#beat = setInterval(() => {
      if (Date.now() - this.#heard > 2 * heartbeatMs) return this.#again('no sign of life');
      this.#send({ t: 'ping', id: 'beat' });
    }, heartbeatMs);
  }

  #answered(frame: Frame): void {
    const pending = this.#pending.get(String(frame['id']));
    if (pending) {
      this.#pending.delete(pending.frame.id);
      if (frame.t === 'ok') pending.resolve(frame['data']);
      else pending.reject(new LinkError(frame as unknown as ConstructorParameters<typeof LinkError>[0]));
      return;
    }
    if (frame.t !== 'error') return;
    for (const [workspace, subscription] of this.#subscriptions) {
      if (subscription.id !== frame['id']) continue;
      const error = new LinkError(frame as unknown as ConstructorParameters<typeof LinkError>[0]);
      if (error.retryable) return this.#again(error.message);
      this.#subscriptions.delete(workspace);
      subscription.options.onError?.(error);
    }
  }
}

class Subscription {
  readonly id: string;
  readonly options: SubscribeOptions;
  cursor: number | undefined;

  constructor(id: string, options: SubscribeOptions) {
    this.id = id;
    this.options = options;
    this.cursor = options.after;
  }

  frame(): object {
    const { workspace, topics } = this.options;
    const after = this.cursor === undefined ? {} : { after: this.cursor };
    return { t: 'subscribe', id: this.id, workspace, topics: topics ?? ['*'], ...after };
  }

  received(frame: Frame): void {
    const { t, ...rest } = frame;
    const { onEvent, onSignal, onCaughtUp, onReset } = this.options;
    switch (t) {
      case 'subscribed':
        // Without a cursor it begins at the head; that is where it goes on after a lost connection, too.
        this.cursor ??= Number(rest['head']);
        return;
      case 'event':
        if (this.cursor !== undefined && rest['offset'] <= this.cursor) return;
        onEvent?.(rest as unknown as LiveEvent);
        return this.#move(rest['offset']);
      case 'cursor':
        return this.#move(rest['offset']);
      case 'caught_up':
        this.#move(rest['offset']);
        return onCaughtUp?.(rest['offset']);
      case 'reset':
        this.cursor = Number(rest['head']);
        return onReset?.(this.cursor, String(rest['reason']));
      case 'signal':
        return onSignal?.(rest as unknown as Signal);
    }
  }

  #move(offset: number): void {
    if (this.cursor !== undefined && offset <= this.cursor) return;
    this.cursor = offset;
    this.options.onCursor?.(offset);
  }
}

function randomKey(): string {
  // Where the page is no secure context there is no `randomUUID`.
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
