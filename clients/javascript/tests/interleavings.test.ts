/** Random orders of loads, events, gaps, failures and tokens: the store ends as the log says. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import fc from "fast-check";
import { makeCatalog } from "../src/catalog.js";
import type { Furniture } from "../src/events.js";
import type { Loaded } from "../src/feed.js";
import { createCatalogStore } from "../src/store.js";
import { Broker, piece } from "./broker.js";
import { pass, restoreTime, settle, stopTime, until } from "./time.js";

const RUNS = Number(process.env.INTERLEAVINGS ?? 75);
const SEED = process.env.INTERLEAVINGS_SEED;

const TYPES = ["furniture_created", "furniture_updated", "furniture_deleted"] as const;

interface Scene {
  readonly broker: Broker;
  readonly belongs: (furniture: Furniture) => boolean;
  readonly publish: (type: (typeof TYPES)[number], furniture: Furniture) => void;
  readonly reload: () => void;
  /** The loads that run: each can end well or badly. */
  readonly loads: { end(): void; fail(): void }[];
  /** How old the `since` of the next load is, in events; null: it has none. */
  sinceAge: number | null;
  tokensFail: boolean;
}

type Step = (scene: Scene) => void | Promise<void>;

const furniture = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.nat(99), fc.constantFrom("roble", "roble", "pino"))
  .map(([id, name, material]) => piece(String(id), `Mesa ${name}`, material));
const change = fc.tuple(fc.constantFrom(...TYPES), furniture);

const number = fc.nat(3);
const none = fc.constant(0);
const failures = fc.option(fc.constantFrom("log_unavailable" as const, "forbidden" as const));

const step: fc.Arbitrary<[string, Step]> = fc.oneof(
  named(6, "append", change, ({ broker }, args) => void broker.append(...args)),
  named(3, "publish", change, ({ publish }, args) => publish(...args)),
  named(5, "deliver", number, ({ broker }, count) => broker.deliver(count)),
  named(5, "load ends", number, ({ loads }, index) => loads[index]?.end()),
  named(2, "load fails", number, ({ loads }, index) => loads[index]?.fail()),
  named(4, "time", fc.nat(3_000), (_, milliseconds) => pass(milliseconds)),
  named(2, "cut", none, ({ broker }) => broker.cut()),
  named(1, "down", fc.boolean(), down),
  named(2, "trim", number, trim),
  named(1, "new log", none, ({ broker }) => broker.renew()),
  named(1, "reload", none, ({ reload }) => reload()),
  named(2, "since", fc.option(number), (scene, sinceAge) => set(scene, { sinceAge })),
  named(1, "quick", fc.boolean(), ({ broker }, isQuick) => set(broker, { isQuick })),
  named(1, "acks first", fc.boolean(), ({ broker }, acksFirst) => set(broker, { acksFirst })),
  named(1, "lose answers", fc.boolean(), ({ broker }, losesAnswers) => {
    broker.losesAnswers = losesAnswers;
  }),
  named(1, "commands fail", failures, failCommands),
  named(1, "tokens fail", fc.boolean(), (scene, tokensFail) => set(scene, { tokensFail })),
  named(1, "token expires", none, expire),
);

function named<T>(
  weight: number,
  name: string,
  values: fc.Arbitrary<T>,
  run: (scene: Scene, value: T) => void | Promise<void>,
): { weight: number; arbitrary: fc.Arbitrary<[string, Step]> } {
  const arbitrary = values.map((value): [string, Step] => [
    `${name} ${JSON.stringify(value)}`,
    (scene) => run(scene, value),
  ]);
  return { weight, arbitrary };
}

function set<T extends object>(target: T, values: Partial<T>): void {
  Object.assign(target, values);
}

function down({ broker }: Scene, isDown: boolean): void {
  broker.isUp = !isDown;
  if (isDown) broker.cut();
}

function trim({ broker }: Scene, kept: number): void {
  broker.trimmed = Math.max(broker.trimmed, broker.log.length - kept);
}

function failCommands({ broker }: Scene, code: "log_unavailable" | "forbidden" | null): void {
  broker.checkCommand = () => (code ? { code, message: code } : undefined);
}

function expire({ broker }: Scene): void {
  for (const socket of broker.sockets) {
    socket.say("error", { code: "token_expired", message: "the token has expired" });
    socket.flush(Infinity);
  }
  broker.cut();
}

beforeEach(stopTime);
const trulyRandom = Math.random;
afterEach(() => {
  Math.random = trulyRandom;
  restoreTime();
});

async function play(steps: readonly [string, Step][], hasRooms: boolean): Promise<void> {
  const broker = new Broker();
  broker.isQuick = false;
  const belongs = ({ material }: Furniture) => !hasRooms || material === "roble";
  const loads: Scene["loads"] = [];

  function load(): Promise<Loaded> {
    const age = scene.sinceAge;
    const count = Math.max(0, broker.log.length - (age ?? 0));
    const since = age === null ? null : broker.offset(count);
    return new Promise((resolve, reject) => {
      const end = (settleLoad: () => void) => () => {
        loads.splice(loads.indexOf(own), 1);
        settleLoad();
      };
      const own = {
        end: end(() => resolve({ items: [...broker.rows(undefined, belongs).values()], since })),
        fail: end(() => reject(new Error("503"))),
      };
      loads.push(own);
    });
  }

  let tokens = 0;
  const catalog = makeCatalog(broker.io, {
    url: "http://broker.test",
    load,
    ...(hasRooms ? { rooms: ["material:roble"] } : {}),
    getToken: async () => {
      if (scene.tokensFail) throw new Error("502");
      return `token ${++tokens}`;
    },
  });
  const store = createCatalogStore(catalog, { belongs });
  const scene: Scene = {
    ...{ broker, belongs, loads, sinceAge: 0, tokensFail: false, reload: catalog.reload },
    publish: (type, furniture) => void store.publish(type, furniture),
  };

  for (const [, run] of steps) {
    await run(scene);
    await settle();
  }

  // Now everything works again.
  Object.assign(broker, { isUp: true, isQuick: true, losesAnswers: false });
  Object.assign(scene, { tokensFail: false, sinceAge: scene.sinceAge === null ? null : 0 });
  broker.checkCommand = () => undefined;
  const isQuiet = () => {
    broker.deliver();
    for (const running of [...loads]) running.end();
    return catalog.state.get().name === "live" && store.getSnapshot().unconfirmed.size === 0;
  };
  await until(isQuiet, "the catalogue is live");
  for (let second = 0; second < 10; second++) {
    await pass(1_000); // for loads, attempts and edits that are left over
    isQuiet();
  }
  await settle();
  const expected = broker.rows(undefined, belongs);
  const { items } = store.getSnapshot();
  assert.deepEqual(new Map(items.map((item) => [item.furniture_id, item])), expected);
  assert.deepEqual(catalog.state.get(), { name: "live", reason: null });

  // It is live: the next event arrives.
  broker.append("furniture_created", piece("last"));
  await settle();
  assert.ok(store.find("last"));
  catalog.close();
}

for (const hasRooms of [false, true]) {
  test(`the store ends as the log says, ${hasRooms ? "in one room" : "in all rooms"}`, async () => {
    const steps = fc.array(step, { maxLength: 40, size: "max" });
    const property = fc.asyncProperty(steps, fc.nat(), (chosen, seed) => {
      Math.random = random(seed);
      return play(chosen, hasRooms);
    });
    await fc.assert(property, {
      numRuns: RUNS,
      includeErrorInReport: true,
      ...(SEED ? { seed: Number(SEED) } : {}),
    });
  });
}

/** Return a generator of numbers from 0 to 1 that depend on the seed only (a linear congruence). */
function random(seed: number): () => number {
  let state = seed % 2 ** 31;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}
