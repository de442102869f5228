/** Tokens for tests, without a signature. */

/** Make a token that ends, and was issued, so many seconds from now. */
export function token(claims: { exp?: number; iat?: number; n?: number }): string {
  const now = Date.now() / 1000;
  const { exp, iat, n } = claims;
  const payload = {
    sub: "ñandú", // base64url of these letters differs from base64
    ...(exp === undefined ? {} : { exp: now + exp }),
    ...(iat === undefined ? {} : { iat: now + iat }),
    n,
  };
  return `e30.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.signature`;
}
