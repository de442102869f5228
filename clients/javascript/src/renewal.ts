/** Replaces the token of an open connection before it expires. */

import type { CatalogSocket } from "./link.js";
import type { Reason } from "./state.js";
import { makeTimer } from "./timing.js";
import type { Tokens } from "./tokens.js";

/** The shortest time between two renewals, also if `getToken` fails or tokens are short. */
const RENEW_MIN_MS = 2_000;

export interface RenewalEvents {
  /** The fresh token was accepted. These are the consumer's rooms now. */
  rooms(rooms: readonly string[]): void;
  /** The server needs a new handshake for the new token. */
  reconnect(reason: Reason): void;
}

export interface Renewal {
  /** Renew the token of a connection in time. */
  plan(socket: CatalogSocket): void;
  stop(): void;
}

export function makeRenewal(tokens: Tokens, on: RenewalEvents): Renewal {
  const timer = makeTimer();
  let turns = 0; // so that an answer that comes too late is recognised

  function plan(socket: CatalogSocket): void {
    const wait = tokens.renewIn();
    if (wait !== undefined)
      timer.start(Math.max(wait, RENEW_MIN_MS), () => void renew(socket));
  }

  function stop(): void {
    turns++;
    timer.stop();
  }

  async function renew(socket: CatalogSocket): Promise<void> {
    const turn = ++turns;
    let token: string | null;
    try {
      token = await tokens.renew();
    } catch {
      if (turn === turns) plan(socket); // the token may still be valid for a while
      return;
    }
    if (turn !== turns) return;
    if (token === null) {
      on.reconnect({ code: "unauthorized", message: "no token" });
      return;
    }
    socket.emit("authenticate", { token }, (answer) => {
      if (turn !== turns) return;
      if (answer.ok) on.rooms(answer.rooms);
      if (answer.ok || answer.error.code === "rate_limited") {
        plan(socket);
        return;
      }
      on.reconnect(answer.error);
    });
  }

  return { plan, stop };
}
