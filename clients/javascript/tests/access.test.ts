/** Tokens and refusals: which are tried again, and how often. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogError } from "../src/state.js";
import { piece } from "./broker.js";
import { token } from "./jwt.js";
import { broker, connect, error, load } from "./scene.js";
import { pass, settle, until } from "./time.js";

test("a token that is refused is replaced once, then the state is refused", async () => {
  for (const code of ["unauthorized", "token_expired"] as const) {
    let fetched = 0;
    broker.checkToken = () => error(code);
    const { becomes, told } = connect({ getToken: () => token({ exp: 300, n: ++fetched }) });
    await becomes("refused", code);
    await pass(60_000);
    assert.equal(fetched, 2);
    assert.equal(told().at(-1), `refused: ${code}`);
  }
});

test("a refused catalogue connects again when the page says so", async () => {
  broker.checkToken = (given) => (given === "good" ? undefined : error("forbidden"));
  let now = "bad";
  const { catalog, becomes, names } = connect({ getToken: () => now });
  await becomes("refused", "forbidden");
  const published = catalog.publish("furniture_created", piece("1"));
  await assert.rejects(published, (failure) => (failure as CatalogError).code === "forbidden");
  now = "good";
  catalog.connect();
  await becomes("live");
  await catalog.publish("furniture_created", piece("1"));
  await settle();
  assert.deepEqual(names(), ["Mesa"]);
});

test("without getToken, a refused token is not tried again", async () => {
  broker.checkToken = () => error("token_expired");
  const { becomes } = connect({ token: token({ exp: 300 }) });
  await becomes("refused", "token_expired");
  await pass(60_000);
  assert.equal(broker.handshakes.length, 1);
});

test("temporary refusals are tried again", async () => {
  for (const code of ["rate_limited", "too_many_connections", "internal"] as const) {
    broker.checkToken = () => error(code);
    const { becomes } = connect();
    await becomes("offline", code);
    broker.checkToken = () => undefined;
    await becomes("live");
  }
});

test("a token is renewed on the open connection before it expires", async () => {
  let fetched = 0;
  const { becomes, told } = connect({ getToken: () => token({ exp: 60, n: ++fetched }) });
  await becomes("live");
  await pass(44_000);
  assert.equal(broker.commands.length, 0);
  await pass(2_000);
  assert.deepEqual(broker.commands.map(({ name }) => name), ["authenticate"]);
  assert.deepEqual([fetched, told()], [2, ["connecting", "live"]]);
});

test("a renewal that is overtaken by the end of its connection sends nothing", async () => {
  const tokens: ((token: string) => void)[] = [];
  const first = token({ exp: 60 });
  const getToken = () => new Promise<string>((resolve) => tokens.push(resolve));
  const { becomes } = connect({ token: first, getToken });
  await becomes("live");
  await until(() => tokens.length === 1, "a renewal");
  broker.isUp = false;
  broker.cut();
  await settle();
  tokens[0]!(token({ exp: 60 }));
  await settle();
  broker.isUp = true;
  await becomes("live");
  assert.deepEqual(broker.commands, []);
});

test("a renewal that fails is tried again, and no failure is a tight loop", async () => {
  let fetched = 0;
  const getToken = () => {
    if (fetched++) throw new Error("the site is away");
    return token({ exp: 60 });
  };
  const { becomes, told } = connect({ getToken });
  await becomes("live");
  await pass(60_000);
  assert.ok(fetched > 3 && fetched < 12, `${fetched} calls`);
  assert.equal(told().at(-1), "live");
});

test("another user's token gets a new handshake", async () => {
  const { becomes } = connect({ getToken: () => token({ exp: 60 }) });
  await becomes("live");
  broker.checkCommand = () => error("forbidden");
  await becomes("recovering", "forbidden");
  await becomes("live");
  assert.equal(broker.handshakes.length, 2);
});

test("a token that comes after another attempt has begun is not used", async () => {
  const tokens: ((token: string) => void)[] = [];
  const getToken = () => new Promise<string>((resolve) => tokens.push(resolve));
  const { catalog, becomes } = connect({ getToken, initial: load() });
  await settle();
  catalog.connect();
  await settle();
  tokens[1]!("new");
  await becomes("live");
  tokens[0]!("old");
  await pass(1_000);
  assert.deepEqual(broker.handshakes.map(({ token: used }) => used), ["new"]);
});

test("a token that cannot be fetched has a state, and is tried again", async () => {
  let works = false;
  const getToken = async () => {
    if (!works) throw new Error("502");
    return "token";
  };
  const { becomes, states } = connect({ getToken });
  await becomes("offline", "token_failed");
  assert.equal(states.at(-1)?.reason?.message, "Error: 502");
  works = true;
  await becomes("live");
});
