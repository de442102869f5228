/** The small parts: ids, waits, tokens, observable values. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import fc from "fast-check";
import { newId } from "../src/ids.js";
import { makeValue } from "../src/observable.js";
import { BACKOFF_MAX_MS, BACKOFF_MS, backoff, patiently, PATIENCE_MS } from "../src/timing.js";
import { lifeOf, makeTokens } from "../src/tokens.js";
import { token } from "./jwt.js";
import { pass, restoreTime, settle, stopTime } from "./time.js";

beforeEach(stopTime);
afterEach(restoreTime);

test("an id is a UUIDv7 of the present time, and never the same", () => {
  const ids = Array.from({ length: 100 }, newId);
  assert.equal(new Set(ids).size, 100);
  for (const id of ids) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(parseInt(id.replace("-", "").slice(0, 12), 16), Date.now());
  }
});

test("a wait is random between 0 and a bound that doubles up to its maximum", () => {
  for (let failures = 0; failures < 20; failures++) {
    const bound = Math.min(BACKOFF_MS * 2 ** failures, BACKOFF_MAX_MS);
    const waits = Array.from({ length: 200 }, () => backoff(failures));
    assert.ok(Math.max(...waits) < bound && Math.max(...waits) > bound * 0.8);
    assert.ok(Math.min(...waits) < bound * 0.2);
  }
});

test("the life of a token is what its claims and a wrong clock allow", () => {
  assert.equal(lifeOf(token({ exp: 300 })), 300_000);
  assert.equal(lifeOf(token({ exp: 200, iat: -100 })), 200_000);
  assert.equal(lifeOf(token({ exp: 3_900, iat: 3_600 })), 300_000, "the clock is late");
  assert.equal(lifeOf(token({ exp: -3_300, iat: -3_600 })), 300_000, "the clock is early");
  assert.equal(lifeOf(token({ exp: -10 })), undefined);
  for (const text of [null, "", "a-producer-key", "e30.e30.x", "a.!.b", token({})])
    assert.equal(lifeOf(text), undefined, String(text));
});

test("any text as a token is no error", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.json(), (text, json) => {
      for (const payload of [text, btoa(unescape(encodeURIComponent(json)))]) {
        const life = lifeOf(`x.${payload}.x`);
        assert.ok(life === undefined || life > 0);
      }
    }),
  );
});

test("a token is fetched when the last one is about to expire, or was refused", async () => {
  let fetched = 0;
  const tokens = makeTokens(token({ exp: 300 }), () => token({ exp: 300, n: ++fetched }));
  const first = await tokens.get();
  assert.equal(await tokens.get(), first);
  assert.equal(tokens.renewIn(), 270_000);
  await pass(270_000 - 1);
  assert.equal(await tokens.get(), first);
  await pass(1);
  assert.notEqual(await tokens.get(), first);
  assert.equal(fetched, 1);
  tokens.drop();
  await tokens.get();
  assert.equal(fetched, 2);
});

test("a short token is replaced after three quarters of its life", () => {
  assert.equal(makeTokens(token({ exp: 8 }), () => null).renewIn(), 6_000);
});

test("a token without a way to get another one is never replaced", async () => {
  const tokens = makeTokens("a-producer-key");
  tokens.drop();
  assert.equal(await tokens.get(), "a-producer-key");
  assert.deepEqual([tokens.canRenew, tokens.renewIn()], [false, undefined]);
});

test("a function of the page that hangs, throws or rejects is a rejection", async () => {
  let signal: AbortSignal | undefined;
  const hanging = patiently((given) => {
    signal = given;
    return new Promise(() => {});
  });
  const failed = assert.rejects(hanging, /20 s/);
  await pass(PATIENCE_MS);
  await failed;
  assert.ok(signal?.aborted);
  await assert.rejects(
    patiently(() => {
      throw new Error("thrown");
    }),
    /thrown/,
  );
  await assert.rejects(
    patiently(() => Promise.reject(new Error("rejected"))),
    /rejected/,
  );
});

test("a listener that throws does not stop the others", async () => {
  const printed = mock.method(console, "error", () => {});
  const value = makeValue(1);
  const seen: number[] = [];
  value.subscribe(() => {
    throw new Error("of the page");
  });
  const end = value.subscribe((now) => seen.push(now));
  value.set(2);
  end();
  value.set(3);
  await settle();
  assert.deepEqual([seen, value.get(), printed.mock.callCount()], [[2], 3, 2]);
  printed.mock.restore();
});
