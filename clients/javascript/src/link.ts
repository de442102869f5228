/**
 * One connection to one of several addresses: attempts, refusals, and waking up.
 *
 * A socket of socket.io-client is connected again as long as its address works, so that it recovers
 * its session. Another address, or another `since`, needs a new socket. This module reads no
 * private field of socket.io-client.
 */

import type { io as socketIo, Socket } from "socket.io-client";
import {
  type ClientToServerEvents,
  type ContractError,
  EVENT_TYPES,
  type FurnitureEvent,
  type HandshakeAuth,
  type Ready,
  type ServerToClientEvents,
} from "./events.js";
import { explain, type Failure, isExpiry, isTooLarge, retry, unreachable } from "./failures.js";
import { makeRenewal } from "./renewal.js";
import type { Reason } from "./state.js";
import { backoff, makeTimer, PATIENCE_MS, STABLE_MS } from "./timing.js";
import type { Tokens } from "./tokens.js";

export type CatalogSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** What happens on the link. */
export interface LinkEvents {
  /** The handshake has succeeded. Missed events may still come. */
  connected(socket: CatalogSocket): void;
  event(event: FurnitureEvent, offset: string): void;
  ready(ready: Ready): void;
  /** A fresh token was accepted. These are the rooms that it left. */
  rooms(rooms: readonly string[]): void;
  /** The connection ended because of the size of a message. `lost` follows. */
  tooLarge(): void;
  /** The connection ended. Another attempt follows. */
  lost(reason: Reason): void;
  /** An attempt failed. Another one follows. */
  failed(reason: Reason): void;
  /** No attempt follows. */
  refused(reason: Reason): void;
}

export interface LinkOptions {
  readonly io: typeof socketIo;
  readonly addresses: readonly Address[];
  readonly tokens: Tokens;
  /** What a handshake asks for, besides the token. It is read at each handshake. */
  readonly wants: () => Pick<HandshakeAuth, "rooms" | "since">;
}

/** Where the server is. Its path is not a namespace of Socket.IO, but a proxy's prefix. */
export interface Address {
  readonly origin: string;
  readonly path: string;
}

/** The server's default: 25 s between heartbeats, and 20 s to answer one. */
const HEARTBEAT_MS = 45_000;

type Phase = "idle" | "trying" | "connected";

export interface Link {
  /** Connect now. An attempt that runs is given up, and a connection is replaced by a fresh one. */
  connect(): void;
  /** Connect with a new socket, whose handshake asks for the events after `since`. */
  reopen(): void;
  /** The page leaves the screen, and may come back: end the transport, but not the session. */
  sleep(): void;
  /** The page is awake: reconnect now if the connection is dead, or if it would wait. */
  wake(wasFrozen: boolean): void;
  /** End the session. */
  close(): void;
}

export function makeLink({ io, addresses, tokens, wants }: LinkOptions, on: LinkEvents): Link {
  let phase: Phase = "idle";
  /** Grows with each change of the phase, so that late answers are recognised. */
  let turns = 0;
  let socket: CatalogSocket | undefined;
  let token: string | null = null;
  let current = 0;
  let failures = 0;
  let readyAt = Infinity;
  /** Why the server is about to end the connection. */
  let farewell: Reason | undefined;
  /** A fresh token was fetched because of a refusal, and the server has not accepted it yet. */
  let isRenewed = false;
  let isAsleep = false;
  let lastSignAt = 0;
  let heartbeat = HEARTBEAT_MS;
  const next = makeTimer();
  const patience = makeTimer();
  const renewal = makeRenewal(tokens, { rooms: on.rooms, reconnect });

  function connect(): void {
    interrupt();
    void attempt();
  }

  function reopen(): void {
    discard();
    connect();
  }

  function sleep(): void {
    const isActive = phase !== "idle" || next.runs();
    if (!isActive) return;
    interrupt();
    isAsleep = true;
  }

  function wake(wasFrozen: boolean): void {
    const isStale = Date.now() - lastSignAt > heartbeat;
    const isDead = phase !== "idle" && (wasFrozen || isStale);
    if (isAsleep || next.runs() || isDead) connect();
  }

  /** End the transport, but not the session. */
  function interrupt(): void {
    const former = phase;
    enter("idle");
    if (socket?.connected) socket.io.engine.close();
    // An attempt cannot be taken back, and a transport with unsent data ends later.
    if (former === "trying" || socket?.connected) discard();
    if (former === "connected") on.lost({ code: "connection_lost", message: "replaced" });
  }

  function close(): void {
    enter("idle");
    discard();
  }

  function enter(now: Phase): number {
    phase = now;
    farewell = undefined;
    isAsleep = false;
    next.stop();
    patience.stop();
    renewal.stop();
    return ++turns;
  }

  async function attempt(): Promise<void> {
    const turn = enter("trying");
    lastSignAt = Date.now();
    try {
      token = await tokens.get();
    } catch (error) {
      if (turn === turns) failed(retry({ code: "token_failed", message: String(error) }));
      return;
    }
    if (turn !== turns) return;
    socket ??= open();
    wait();
    socket.connect();
    const { engine } = socket.io;
    engine.on("handshake", ({ pingInterval, pingTimeout }) => {
      heartbeat = pingInterval + pingTimeout;
    });
    engine.on("packet", () => {
      lastSignAt = Date.now();
    });
  }

  function open(): CatalogSocket {
    const { origin, path } = addresses[current]!;
    const made: CatalogSocket = io(origin, {
      path,
      forceNew: true,
      autoConnect: false,
      reconnection: false,
      timeout: PATIENCE_MS + 1_000, // later than `patience`, which comes first
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      auth: (give) => give({ token: token ?? undefined, ...wants() }),
    });
    for (const type of EVENT_TYPES)
      made.on(type, (event: FurnitureEvent, offset: string) => {
        if (patience.runs()) wait();
        on.event(event, offset);
      });
    made.on("connect", () => {
      enter("connected");
      readyAt = Infinity;
      wait();
      renewal.plan(made);
      on.connected(made);
    });
    made.on("ready", (ready) => {
      patience.stop();
      readyAt = Date.now();
      isRenewed = false;
      on.ready(ready);
    });
    made.on("error", (error) => warned(error));
    made.on("connect_error", (error) => failed(explain(error)));
    made.on("disconnect", (why, details) => {
      if (phase === "connected" && isTooLarge(details)) on.tooLarge();
      ended({ code: "connection_lost", message: why });
    });
    return made;
  }

  /** Give up if nothing happens for a while before `ready`. */
  function wait(): void {
    patience.start(PATIENCE_MS, () => {
      discard();
      ended({ code: "wrong_version", message: "the server is not ready" });
    });
  }

  function warned({ code, message }: ContractError): void {
    if (!isExpiry(code)) return;
    farewell = { code, message };
    isRenewed = true;
    tokens.drop();
  }

  function ended(reason: Reason): void {
    if (phase === "trying") failed(retry(unreachable(reason.message)));
    if (phase === "connected") reconnect(reason);
  }

  /** The connection has ended, or must: connect again after a while. */
  function reconnect(reason: Reason): void {
    const why = farewell ?? reason;
    failures = Date.now() - readyAt < STABLE_MS ? failures + 1 : 0;
    phase = "idle";
    interrupt();
    on.lost(why);
    later();
  }

  function failed({ reason, isFinal }: Failure): void {
    if (phase !== "trying") return; // socket.io-client tells some failures twice
    enter("idle");
    const needsToken = isExpiry(reason.code);
    if (isFinal && !(needsToken && tokens.canRenew && !isRenewed)) {
      close();
      tokens.drop();
      on.refused(reason);
      return;
    }
    failures++;
    if (needsToken) {
      isRenewed = true;
      tokens.drop();
      on.lost(reason);
    } else {
      if (addresses.length > 1 && reason.code !== "token_failed") {
        discard();
        current = (current + 1) % addresses.length;
      }
      on.failed(reason);
    }
    later();
  }

  function later(): void {
    next.start(backoff(failures), () => void attempt());
  }

  /** Forget the socket. The server ends its session. */
  function discard(): void {
    socket?.off();
    socket?.disconnect();
    socket = undefined;
  }

  return { connect, reopen, sleep, wake, close };
}
