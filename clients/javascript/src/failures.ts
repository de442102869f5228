/** What the errors of socket.io-client mean: why, and whether another attempt can help. */

import type { ContractError, ErrorCode } from "./events.js";
import type { Reason, ReasonCode } from "./state.js";

export interface Failure {
  readonly reason: Reason;
  /** Another attempt would fail in the same way. */
  readonly isFinal: boolean;
}

/** The server may accept the same later. */
export const TEMPORARY: ReadonlySet<ReasonCode> = new Set<ErrorCode>([
  "internal",
  "log_unavailable",
  "rate_limited",
  "shutting_down",
  "too_many_connections",
]);

/** Engine.IO's code for a client of another version of its protocol. */
const UNSUPPORTED_VERSION = 5;
/** The close code of a WebSocket whose message was too large (RFC 6455, 7.4.1). */
const MESSAGE_TOO_BIG = 1009;

/** Whether a fresh token can help. */
export function isExpiry(code: ReasonCode): boolean {
  return code === "token_expired" || code === "unauthorized";
}

/** Explain a `connect_error`. */
export function explain(error: Error): Failure {
  const { data, context } = error as { data?: unknown; context?: XMLHttpRequest };
  if ("data" in error) {
    // CONNECT_ERROR: the server, or another Socket.IO server, has refused the handshake.
    const refusal = asContractError(data);
    if (!refusal) return wrongVersion(error.message);
    return { reason: refusal, isFinal: !TEMPORARY.has(refusal.code) };
  }
  if (error.message.includes("v2.x")) return wrongVersion(error.message);
  const answer = parse(context?.responseText) as { code?: unknown } | undefined;
  if (answer?.code === UNSUPPORTED_VERSION) return wrongVersion(error.message);
  if (globalThis.navigator?.onLine === false)
    return retry({ code: "no_network", message: "the browser is offline" });
  const detail = context?.status ? `HTTP ${context.status}` : error.message;
  return retry(asContractError(answer) ?? unreachable(detail));
}

export function unreachable(detail: string): Reason {
  return { code: "unreachable", message: `no answer: ${detail}` };
}

export function retry(reason: Reason): Failure {
  return { reason, isFinal: false };
}

/** Whether a connection ended because a message was too large. */
export function isTooLarge(details: unknown): boolean {
  return (details as { context?: CloseEvent } | undefined)?.context?.code === MESSAGE_TOO_BIG;
}

function wrongVersion(detail: string): Failure {
  return { reason: { code: "wrong_version", message: `another server: ${detail}` }, isFinal: true };
}

function asContractError(value: unknown): Reason | undefined {
  const { code, message, detail = message } = (value ?? {}) as ContractError & { detail?: string };
  return typeof code === "string" ? { code, message: String(detail) } : undefined;
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text!);
  } catch {
    return undefined; // a proxy's page, or nothing
  }
}
