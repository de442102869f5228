/** The token of the page: when it is fetched, and how long it is used. */

import { patiently } from "./timing.js";

export type GetToken = (options: { signal: AbortSignal }) => string | null | Promise<string | null>;

/** A token is replaced this long before its end, or after three quarters of its life. */
const MARGIN_MS = 30_000;

/**
 * Return how many milliseconds a token is still valid; undefined if it does not say.
 *
 * The clock of the page may be wrong. A fresh token is valid for `exp - iat`, so a result that
 * cannot be right gives way to that.
 */
export function lifeOf(token: string | null): number | undefined {
  try {
    const payload = token!.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
    const { exp, iat = exp } = JSON.parse(atob(payload)) as { exp: number; iat?: number };
    const left = exp * 1000 - Date.now();
    const whole = (exp - iat) * 1000;
    const life = left > 0 && !(whole && left > whole) ? left : whole;
    return life > 0 ? life : undefined;
  } catch {
    return undefined; // a key, or null
  }
}

export interface Tokens {
  readonly canRenew: boolean;
  /** Return a token that is good enough for a handshake. */
  get(): Promise<string | null>;
  /** Fetch another token. */
  renew(): Promise<string | null>;
  /** Forget the token: the server has refused it. */
  drop(): void;
  /** Return the milliseconds until the token should be replaced; undefined if it need not be. */
  renewIn(): number | undefined;
}

/**
 * @param first the first token, such as one in the page's HTML
 * @param getToken fetches another one; without it, the first token is the only one
 */
export function makeTokens(first: string | null, getToken?: GetToken): Tokens {
  let token: string | null;
  let usableUntil: number;

  async function get(): Promise<string | null> {
    return getToken && !(Date.now() < usableUntil) ? renew() : token;
  }

  async function renew(): Promise<string | null> {
    return accept(await patiently((signal) => getToken!({ signal })));
  }

  function drop(): void {
    usableUntil = 0;
  }

  function renewIn(): number | undefined {
    return getToken && usableUntil ? usableUntil - Date.now() : undefined;
  }

  function accept(given: string | null): string | null {
    const life = lifeOf(given);
    token = given;
    usableUntil = life === undefined ? 0 : Date.now() + life - Math.min(MARGIN_MS, life / 4);
    return token;
  }

  accept(first);
  return { canRenew: getToken !== undefined, get, renew, drop, renewIn };
}
