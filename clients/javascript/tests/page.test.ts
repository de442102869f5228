/** Sleep and waking up: which events of a page let the connection be made again. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { type Catalog, makeCatalog } from "../src/catalog.js";
import { Broker, piece } from "./broker.js";
import { pass, restoreTime, settle, stopTime, until } from "./time.js";

class FakeDocument extends EventTarget {
  visibilityState = "visible";
}

let broker: Broker;
let catalog: Catalog;
let page: FakeDocument;
let browser: EventTarget;

beforeEach(async () => {
  stopTime();
  page = new FakeDocument();
  browser = new EventTarget();
  Object.assign(globalThis, { document: page, window: browser });
  broker = new Broker();
  catalog = makeCatalog(broker.io, {
    url: "http://broker.test",
    load: () => ({ items: [...broker.rows().values()], since: broker.position }),
  });
  await until(isLive, "live");
});
afterEach(() => {
  catalog.close();
  restoreTime();
  Object.assign(globalThis, { document: undefined, window: undefined });
});

const isLive = () => catalog.state.get().name === "live";
const happens = (target: EventTarget, name: string, fields: object = {}) =>
  target.dispatchEvent(Object.assign(new Event(name), fields));

function switchTab(): void {
  for (const visibilityState of ["hidden", "visible"]) {
    page.visibilityState = visibilityState;
    happens(page, "visibilitychange");
  }
}

/** The server sends heartbeats as long as the connection is alive. */
function heartbeat(): void {
  for (const socket of broker.sockets) socket.say("pong", {});
}

test("twenty quick tab switches reconnect never", async () => {
  for (let round = 0; round < 20; round++) {
    switchTab();
    happens(browser, "online");
    await pass(100);
  }
  assert.equal(broker.handshakes.length, 1);
});

test("a tab that comes back reconnects only after a long silence", async () => {
  await pass(40_000);
  heartbeat();
  await pass(40_000);
  switchTab();
  await settle();
  assert.equal(broker.handshakes.length, 1, "it was silent for 40 s");
  await pass(5_050);
  switchTab();
  await settle();
  assert.equal(broker.handshakes.length, 2, "it was silent for 45 s");
  assert.ok(isLive());
});

test("a page that was frozen reconnects at once, and recovers its session", async () => {
  happens(page, "freeze");
  happens(page, "resume");
  await settle();
  assert.equal(broker.handshakes.length, 2);
  assert.ok(broker.handshakes[1]?.pid);
  assert.ok(isLive());
});

test("a page in the back/forward cache has no connection, and one when it is back", async () => {
  happens(browser, "pagehide", { persisted: true });
  await settle();
  assert.deepEqual([broker.sockets.size, isLive()], [0, false]);
  await pass(10_000);
  assert.equal(broker.handshakes.length, 1, "it sleeps");
  broker.append("furniture_created", piece("1"));
  happens(page, "resume");
  page.visibilityState = "visible";
  happens(browser, "pageshow", { persisted: true });
  happens(page, "visibilitychange");
  await settle();
  assert.deepEqual([broker.handshakes.length, isLive()], [2, true]);
  assert.ok(broker.handshakes[1]?.pid);
});

test("a browser without freeze and resume wakes the page up by pageshow", async () => {
  happens(browser, "pagehide");
  happens(browser, "pageshow", { persisted: false }); // the page is new
  await settle();
  assert.equal(broker.handshakes.length, 1);
  happens(browser, "pageshow", { persisted: true });
  await settle();
  assert.deepEqual([broker.handshakes.length, isLive()], [2, true]);
});

test("a page that waits for its next attempt tries at once when it wakes up", async () => {
  broker.isUp = false;
  broker.cut();
  await pass(30_000);
  broker.isUp = true;
  happens(browser, "online");
  await settle();
  assert.ok(isLive());
});

test("a page that waits for its next load tries at once when it wakes up", async () => {
  catalog.close();
  let works = false;
  const failing = () => {
    if (!works) throw new Error("no");
    return { items: [], since: broker.position };
  };
  catalog = makeCatalog(broker.io, { url: "http://broker.test", load: failing });
  await pass(30_000);
  works = true;
  switchTab();
  await settle();
  assert.ok(isLive());
});

test("a refused catalogue stays refused when the page wakes up", async () => {
  broker.checkToken = () => ({ code: "forbidden", message: "no" });
  broker.cut();
  await until(() => catalog.state.get().name === "refused", "refused");
  const before = broker.handshakes.length;
  happens(browser, "pagehide", { persisted: true });
  happens(browser, "pageshow", { persisted: true });
  switchTab();
  await pass(1_000);
  assert.equal(broker.handshakes.length, before);
});

test("a closed catalogue listens to the page no more", async () => {
  catalog.close();
  happens(page, "freeze");
  happens(page, "resume");
  happens(browser, "online");
  await pass(1_000);
  assert.equal(broker.handshakes.length, 1);
});
