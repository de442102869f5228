/** The store: snapshots, and edits that show before they are confirmed. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { type Catalog, makeCatalog } from "../src/catalog.js";
import { createCatalogStore } from "../src/store.js";
import { Broker, piece } from "./broker.js";
import { pass, restoreTime, settle, stopTime, until } from "./time.js";

let broker: Broker;
let catalog: Catalog;

beforeEach(() => {
  stopTime();
  broker = new Broker();
  broker.append("furniture_created", piece("1", "Mesa"));
  broker.append("furniture_created", piece("2", "Silla"));
  catalog = makeCatalog(broker.io, {
    url: "http://broker.test",
    load: () => ({ items: [...broker.rows().values()], since: broker.position }),
  });
});
afterEach(() => {
  catalog.close();
  restoreTime();
});

async function liveStore() {
  const store = createCatalogStore(catalog);
  await until(() => store.getSnapshot().items.length > 0, "the list");
  return { store, names: () => store.getSnapshot().items.map(({ nombre }) => nombre) };
}

test("a snapshot is the same object until the next change, and never changes itself", async () => {
  const { store } = await liveStore();
  const before = store.getSnapshot();
  const [mesa, silla] = before.items;
  assert.equal(store.getSnapshot(), before);
  let calls = 0;
  const end = store.subscribe(() => calls++);
  broker.append("furniture_updated", piece("2", "Silla roja"));
  await settle();
  const after = store.getSnapshot();
  assert.notEqual(after, before);
  assert.deepEqual(before.items, [mesa, silla]);
  assert.equal(after.items[0], mesa, "a piece that did not change is the same object");
  assert.equal(store.getSnapshot(), after);
  end();
  broker.append("furniture_deleted", piece("1"));
  await settle();
  assert.equal(calls, 1);
});

test("an edit shows at once, and is confirmed by its event", async () => {
  const { store, names } = await liveStore();
  broker.isQuick = false;
  const published = store.publish("furniture_updated", piece("1", "Mesa azul"));
  assert.deepEqual(names(), ["Mesa azul", "Silla"]);
  assert.deepEqual([...store.getSnapshot().unconfirmed], ["1"]);
  broker.deliver(1); // the event
  assert.deepEqual([names(), store.getSnapshot().unconfirmed.size], [["Mesa azul", "Silla"], 0]);
  broker.deliver();
  assert.equal((await published).offset, broker.position);
});

test("an edit that is refused is taken back", async () => {
  const { store, names } = await liveStore();
  broker.checkCommand = () => ({ code: "invalid_furniture", message: "no" });
  const seen: string[][] = [];
  store.subscribe(() => seen.push(names()));
  for (const [type, name] of [["updated", "x"], ["deleted", "Mesa"], ["created", "x"]] as const)
    void store.publish(`furniture_${type}`, piece(type === "created" ? "9" : "1", name));
  await settle();
  assert.deepEqual(seen[0], ["x", "Silla"]);
  assert.deepEqual([names(), store.getSnapshot().unconfirmed.size], [["Mesa", "Silla"], 0]);
});

test("an edit is above the events of others until it is confirmed", async () => {
  const { store, names } = await liveStore();
  broker.isQuick = false;
  void store.publish("furniture_updated", piece("1", "mine"));
  broker.append("furniture_updated", piece("1", "theirs"));
  broker.deliver();
  await settle();
  assert.deepEqual(names(), ["theirs", "Silla"], "theirs is later in the log");
});

test("an acknowledged edit shows until its event, and for two seconds without one", async () => {
  broker.acksFirst = true;
  const { store, names } = await liveStore();
  broker.isQuick = false;
  void store.publish("furniture_updated", piece("1", "Mesa azul"));
  broker.deliver(1); // the ack
  await settle();
  assert.deepEqual([names()[0], store.getSnapshot().unconfirmed.size], ["Mesa azul", 0]);
  await pass(1_950);
  assert.equal(names()[0], "Mesa azul");
  await pass(100);
  assert.equal(names()[0], "Mesa", "only events change the rows");
  broker.deliver();
  assert.equal(names()[0], "Mesa azul");
});

test("an edit is confirmed by its event, also if a list shows that event already", async () => {
  const { store, names } = await liveStore();
  broker.isQuick = false;
  void store.publish("furniture_updated", piece("1", "mine"));
  catalog.reload();
  broker.deliver(1); // its event, while the list is loaded
  assert.equal(store.getSnapshot().unconfirmed.size, 1);
  await settle();
  assert.deepEqual([store.getSnapshot().unconfirmed.size, names()[0]], [0, "mine"]);
});

test("an edit that a list shows already is no longer above it", async () => {
  const { store, names } = await liveStore();
  broker.isQuick = false;
  void store.publish("furniture_updated", piece("1", "mine"));
  broker.append("furniture_updated", piece("1", "theirs"));
  catalog.reload();
  broker.deliver(1); // its event, while the list is loaded
  await settle();
  broker.isQuick = true;
  await until(() => store.getSnapshot().unconfirmed.size === 0, "confirmed");
  await pass(5_000);
  assert.equal(names()[0], "theirs");
});

test("a piece that leaves the list's room leaves the list", async () => {
  const store = createCatalogStore(catalog, { belongs: ({ material }) => material === "roble" });
  await until(() => store.getSnapshot().items.length > 0, "the list");
  broker.append("furniture_updated", piece("1", "Mesa", "pino"));
  await settle();
  assert.equal(store.find("1"), undefined);
  assert.ok(store.find("2"));
});

test("a closed store changes no more", async () => {
  const { store, names } = await liveStore();
  store.close();
  broker.append("furniture_deleted", piece("1"));
  await settle();
  assert.deepEqual(names(), ["Mesa", "Silla"]);
});
