/** The catalogue: its list, states and reasons, addresses, rooms. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CatalogError } from "../src/state.js";
import { piece } from "./broker.js";
import { broker, connect, error, load, slowly } from "./scene.js";
import { pass, settle, until } from "./time.js";

test("the list comes first, then every later event", async () => {
  broker.append("furniture_created", piece("1", "Mesa"));
  const { names, told, becomes } = connect();
  await becomes("live");
  broker.append("furniture_created", piece("2", "Silla"));
  broker.append("furniture_deleted", piece("1"));
  await settle();
  assert.deepEqual(names(), ["Silla"]);
  assert.deepEqual(told(), ["connecting", "live"]);
  assert.equal(broker.handshakes[0]?.since, broker.offset(1));
});

test("a list that the page has already is not loaded", async () => {
  let loads = 0;
  const initial = { items: [piece("1")], since: broker.position };
  const { names, becomes } = connect({ initial, load: () => (loads++, load()) });
  await becomes("live");
  assert.deepEqual([loads, names()], [0, ["Mesa"]]);
  broker.renew();
  await until(() => loads === 1, "the list is loaded at a gap");
});

test("a list without since is loaded again when the connection is live", async () => {
  let loads = 0;
  const { names, becomes } = connect({ load: () => (loads++, { items: load().items }) });
  await settle();
  broker.append("furniture_created", piece("1"));
  await becomes("live");
  assert.deepEqual([loads, names()], [2, ["Mesa"]]);
});

test("a list without since, during which there was a gap, is loaded again", async () => {
  const loads: (() => void)[] = [];
  const { catalog, names, becomes } = connect({
    load() {
      const { items } = load();
      return new Promise((resolve) => loads.push(() => resolve({ items })));
    },
  });
  const loaded = async (count: number) => {
    await until(() => loads.length === count, `load ${count}`);
    loads[count - 1]!();
  };
  await loaded(1);
  await loaded(2);
  await becomes("live");
  catalog.reload();
  await settle();
  broker.renew();
  broker.append("furniture_created", piece("1"));
  await becomes("recovering", "gap");
  await loaded(3);
  await loaded(4);
  await becomes("live");
  assert.deepEqual(names(), ["Mesa"]);
});

test("a connection that is lost recovers its session on the same socket", async () => {
  const { names, told, becomes } = connect();
  await becomes("live");
  broker.cut();
  broker.append("furniture_created", piece("1"));
  await becomes("live");
  assert.deepEqual(names(), ["Mesa"]);
  assert.deepEqual(told().slice(1), ["live", "recovering: connection_lost", "live"]);
  assert.equal(broker.origins.length, 1);
  assert.ok(broker.handshakes[1]?.pid);
});

test("at a gap, events are held until the list is there", async () => {
  const loads: (() => void)[] = [];
  const { names, told, becomes } = connect({ initial: load(), load: slowly(loads) });
  await becomes("live");
  broker.renew();
  await becomes("recovering", "gap");
  await pass(1_000);
  broker.append("furniture_created", piece("1"));
  await pass(1_000);
  assert.deepEqual(names(), []);
  loads[0]!();
  await becomes("live");
  assert.deepEqual([names(), broker.origins.length], [["Mesa"], 1]);
  assert.ok(told().includes("recovering: gap"));
});

test("many missed events are few changes", async () => {
  const { catalog, names, becomes } = connect();
  await becomes("live");
  const sizes: number[] = [];
  catalog.listen(({ items, events }) => void (items ?? sizes.push(events.length)));
  await becomes("live");
  broker.cut();
  for (let n = 0; n < 2_500; n++) broker.append("furniture_updated", piece("1", `Mesa ${n}`));
  await until(() => names()[0] === "Mesa 2499", "all events");
  assert.deepEqual(sizes, [1_000, 1_000, 500]);
});

test("the answer of a load that was given up is ignored", async () => {
  const loads: (() => void)[] = [];
  const { catalog, names, becomes } = connect({ initial: load(), load: slowly(loads) });
  await becomes("live");
  catalog.reload();
  catalog.reload();
  await settle();
  loads[1]!();
  await settle();
  broker.append("furniture_created", piece("1"));
  await settle();
  loads[0]!();
  await settle();
  assert.deepEqual(names(), ["Mesa"]);
});

test("more events than are held while the list is loaded are asked for again", async () => {
  const loads: (() => void)[] = [];
  const { catalog, names, becomes } = connect({ initial: load(), load: slowly(loads) });
  await becomes("live");
  catalog.reload();
  await settle();
  for (let n = 0; n < 1_200; n++) broker.append("furniture_created", piece(`${n}`));
  await settle();
  loads[0]!();
  await until(() => names().length === 1_200, "all pieces");
  assert.equal(broker.origins.length, 2);
});

test("a server that is away is offline, and attempts are spread and never stop", async () => {
  broker.isUp = false;
  const { told, becomes, states } = connect();
  await becomes("offline", "unreachable");
  const before = states.length;
  await pass(60_000);
  const attempts = states.length - before;
  assert.ok(attempts > 10 && attempts < 60, `${attempts} attempts in a minute`);
  broker.isUp = true;
  await becomes("live");
  assert.equal(told()[0], "connecting");
});

test("the addresses are tried in turn, and the next one gets since", async () => {
  const urls = ["http://one.test", "http://two.test/prefix/"];
  const { names, becomes } = connect({ urls });
  await becomes("live");
  broker.downOrigins.add("http://one.test");
  broker.cut();
  broker.append("furniture_created", piece("1"));
  await becomes("live");
  assert.deepEqual(broker.origins, ["http://one.test", "http://two.test"]);
  assert.deepEqual(names(), ["Mesa"]);
  broker.downOrigins.clear();
  broker.downOrigins.add("http://two.test");
  broker.cut();
  await becomes("offline");
  await becomes("live");
  assert.equal(broker.origins.at(-1), "http://one.test");
});

test("a list that cannot be loaded has a state, and is tried again", async () => {
  const bad = [
    () => { throw new Error("no"); },
    () => Promise.reject(new Error("no")),
    () => undefined as never,
    () => ({ items: "no list" }) as never,
  ];
  for (const failing of bad) {
    let calls = 0;
    let works = false;
    const { becomes } = connect({ load: () => (calls++, works ? load() : failing()) });
    await becomes("connecting", "load_failed");
    await pass(30_000);
    assert.ok(calls > 5 && calls < 60, `${calls} calls`);
    works = true;
    await becomes("live");
  }
});

test("a list that is loaded without a connection does not make the page live", async () => {
  const { catalog, becomes, told } = connect();
  await becomes("live");
  broker.isUp = false;
  broker.cut();
  await becomes("offline");
  catalog.reload();
  await pass(10_000);
  assert.equal(told().filter((state) => state === "live").length, 1);
  broker.isUp = true;
  await becomes("live");
});

test("a list that is always too old is no tight loop", async () => {
  let calls = 0;
  const old = load();
  const { catalog, becomes } = connect({ load: () => (calls++, old) });
  await becomes("live");
  await pass(10_000);
  broker.append("furniture_created", piece("1"));
  broker.trimmed = 1;
  broker.renew();
  await pass(60_000);
  assert.ok(calls > 5 && calls < 60, `${calls} calls`);
  assert.equal(catalog.state.get().reason?.code, "gap");
});

test("a server that accepts and ends every connection is no tight loop", async () => {
  const { becomes } = connect();
  await becomes("live");
  const before = broker.handshakes.length;
  for (let passed = 0; passed < 30_000; passed += 50) {
    await pass(50);
    broker.cut();
  }
  assert.ok(broker.handshakes.length - before < 40, `${broker.handshakes.length}`);
});

test("a server that sends no ready is given up", async () => {
  broker.isQuick = false;
  const { becomes } = connect();
  await becomes("connecting", "wrong_version");
  broker.isQuick = true;
  await becomes("live");
});

test("a page that enters a room gets the room's pieces", async () => {
  broker.append("furniture_created", piece("1", "Mesa", "roble"));
  broker.append("furniture_created", piece("2", "Silla", "pino"));
  const asked: unknown[] = [];
  const { catalog, names, becomes } = connect({
    rooms: ["material:roble"],
    load({ rooms }) {
      asked.push(rooms);
      const items = [...broker.rows().values()];
      return {
        items: items.filter(({ material }) => rooms!.includes(`material:${material}`)),
        since: broker.position,
      };
    },
  });
  await becomes("live");
  assert.deepEqual(names(), ["Mesa"]);
  assert.deepEqual(await catalog.subscribe("material:pino"), ["material:pino", "material:roble"]);
  await until(() => names().length === 2, "both rooms");
  broker.append("furniture_created", piece("3", "Banco", "pino"));
  await settle();
  assert.deepEqual(names(), ["Mesa", "Silla", "Banco"]);
  assert.deepEqual(asked.at(-1), ["material:pino", "material:roble"]);
  assert.deepEqual(await catalog.unsubscribe(["material:roble"]), ["material:pino"]);
  broker.renew();
  await becomes("live");
  assert.deepEqual(broker.handshakes.at(-1)?.rooms, ["material:pino"]);
});

test("a list that is older than a change of rooms lacks nothing", async () => {
  const old = load();
  const { catalog, names, becomes } = connect({ rooms: ["material:roble"], load: () => old });
  await becomes("live");
  broker.append("furniture_created", piece("1", "Silla", "pino"));
  await catalog.subscribe("material:pino");
  await until(() => names().length === 1, "the piece of the new room");
});

test("rooms that are refused reject, and nobody has to look", async () => {
  const { catalog, becomes } = connect();
  await becomes("live");
  broker.checkCommand = () => error("unknown_room");
  await assert.rejects(catalog.subscribe("nowhere"), CatalogError);
  void catalog.subscribe("nowhere");
  await settle();
});

test("a closed catalogue is silent permanently", async () => {
  const { catalog, becomes } = connect();
  await becomes("live");
  const waiting = catalog.publish("furniture_created", piece("1"));
  broker.isQuick = false;
  catalog.close();
  await assert.rejects(catalog.publish("furniture_created", piece("2")), CatalogError);
  await waiting.catch((failure: CatalogError) => assert.ok(failure.maybeAppended));
  catalog.connect();
  catalog.reload();
  await pass(60_000);
  assert.deepEqual(catalog.state.get().reason?.code, "closed");
  assert.deepEqual([broker.handshakes.length, broker.sockets.size], [1, 0]);
});
