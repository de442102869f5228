/* The visitor: the token, what it allows, the difference of the clocks, and what the page remembers. */

/** The address of the server below which this page is: a proxy may serve it below a prefix. */
export const BASE = new URL("../", import.meta.url).href;

/** How long the page waits for an answer that only improves it. */
const PATIENCE_MS = 8_000;

/** Remember a choice. A browser may forbid that; the choice then ends with the page. */
export function remember(name, value) {
  try {
    localStorage.setItem(`furniture-events.${name}`, value);
  } catch { /* The choice still counts now. */ }
}

export function recall(name) {
  try {
    return localStorage.getItem(`furniture-events.${name}`);
  } catch {
    return null;
  }
}

const TOKEN = "furniture-events.token";
let token = takeToken();

/**
 * Take the token out of `#token=…`. A fragment never reaches a server or its logs; it leaves the
 * address bar and the history at once. The tab keeps the token, so that a reload keeps the access.
 */
function takeToken() {
  const given = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (given) history.replaceState(null, "", location.pathname + location.search);
  try {
    if (given) sessionStorage.setItem(TOKEN, decodeURIComponent(given));
    return sessionStorage.getItem(TOKEN);
  } catch {
    return given ?? null;
  }
}

export const currentToken = () => token;

export function forgetToken() {
  token = null;
  try {
    sessionStorage.removeItem(TOKEN);
  } catch { /* It was never stored. */ }
}

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** An answer of the server that is an error, or no answer. `status` is 0 without an answer. */
export class AnswerError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Get JSON from the server. Throws AnswerError. */
export async function getJson(path, signal = AbortSignal.timeout(PATIENCE_MS)) {
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), { headers: authorization(), signal, cache: "no-store" });
  } catch (error) {
    throw new AnswerError(0, navigator.onLine === false ? "no_network" : "unreachable", String(error));
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  throw new AnswerError(answer.status, body?.code ?? "unreachable", body?.message ?? body?.detail ?? `HTTP ${answer.status}`);
}

/** What the visitor may do. Until the server has said it: look. */
export const rights = { publish: false, stats: false, rooms: null, identity: null };

/** Milliseconds that the server's clock is ahead of the browser's. The fastest of the last answers is the most exact. */
let ahead = 0, fastest = Infinity, measuredAt = 0;
const EXACT_FOR_MS = 600_000;

/** The server's time now, as far as the page can know it. */
export const serverNow = () => Date.now() + ahead;

/** Ask the server what the visitor may do, and what time it is. Returns whether it has answered. */
export async function meet() {
  const asked = performance.now();
  try {
    const { timestamp, ...answer } = await getJson("api/me");
    const now = performance.now(), took = now - asked;
    if (took <= fastest || now - measuredAt > EXACT_FOR_MS) {
      // The server wrote the time about half a round trip ago.
      ahead = Date.parse(timestamp) + took / 2 - Date.now();
      [fastest, measuredAt] = [took, now];
    }
    Object.assign(rights, answer);
    return true;
  } catch {
    return false; // the connection's state says why
  }
}
