/** What a page can tell its user about the connection, and every error of this package. */

import type { ErrorCode, ErrorDetail } from "./events.js";

/**
 * - `connecting`: the first list and the first connection are on their way.
 * - `live`: the list is current, and changes arrive at once.
 * - `recovering`: the connection or the list was lost; what the page shows may be old.
 * - `offline`: the server cannot be reached. The client keeps trying.
 * - `refused`: the server said no. The client waits for `connect()`, for example after a sign-in.
 */
export type StateName = "connecting" | "live" | "recovering" | "offline" | "refused";

/** The codes of the server, and those of this client. */
export type ReasonCode =
  | ErrorCode
  /** The connection ended. */
  | "connection_lost"
  /** The browser has no network. */
  | "no_network"
  /** There was no answer, or something else answered: for example, a proxy with a 502. */
  | "unreachable"
  /** The server speaks another version of the protocol, or is another server. */
  | "wrong_version"
  /** Events may have been missed, so the list is loaded again. */
  | "gap"
  /** `load` failed, or took too long. */
  | "load_failed"
  /** `getToken` failed, or took too long. */
  | "token_failed"
  /** No answer to a command within its time. */
  | "timeout"
  /** `close()` was called. */
  | "closed";

export interface Reason {
  readonly code: ReasonCode;
  /** One sentence in English, for developers and logs. */
  readonly message: string;
}

export interface CatalogState {
  readonly name: StateName;
  /** Why the state is not better; null if there is nothing to say. */
  readonly reason: Reason | null;
}

/** A command that failed. */
export class CatalogError extends Error implements Reason {
  override readonly name = "CatalogError";

  constructor(
    readonly code: ReasonCode,
    message: string,
    /** The bad fields, if the error is about fields. */
    readonly details: readonly ErrorDetail[] = [],
    /** Whether the event may be in the log all the same. Publish it again with the same `id`. */
    readonly maybeAppended = false,
  ) {
    super(message);
  }
}
