/** A catalogue that is connected to the model of the server, with its states so far. */

import { afterEach, beforeEach } from "node:test";
import { type Catalog, type CatalogOptions, makeCatalog } from "../src/catalog.js";
import type { ContractError, ErrorCode, Furniture } from "../src/events.js";
import type { CatalogState } from "../src/state.js";
import { createCatalogStore } from "../src/store.js";
import { Broker } from "./broker.js";
import { restoreTime, stopTime, until } from "./time.js";

export let broker: Broker;
let open: Catalog[];

beforeEach(() => {
  stopTime();
  broker = new Broker();
  open = [];
});
afterEach(() => {
  for (const catalog of open) catalog.close();
  restoreTime();
});

export const error = (code: ErrorCode): ContractError => ({ code, message: `it is ${code}` });

export function load(): { items: Furniture[]; since: string } {
  return { items: [...broker.rows().values()], since: broker.position };
}

/** Return a `load` that reads the list at once, and returns it when the test calls a function. */
export function slowly(loads: (() => void)[]): () => Promise<ReturnType<typeof load>> {
  return () =>
    new Promise((resolve) => {
      const loaded = load();
      loads.push(() => resolve(loaded));
    });
}

/** Connect; return the catalogue, its store, its states so far, and a way to wait for one. */
export function connect(options: Partial<CatalogOptions> = {}) {
  const catalog = makeCatalog(broker.io, { url: "http://broker.test", load, ...options });
  open.push(catalog);
  const store = createCatalogStore(catalog);
  const states: CatalogState[] = [catalog.state.get()];
  catalog.state.subscribe((state) => states.push(state));
  const is = (name: string, code?: string) => () => {
    const { name: now, reason } = catalog.state.get();
    return now === name && (code === undefined || reason?.code === code);
  };
  return {
    ...{ catalog, store, states },
    names: () => store.getSnapshot().items.map(({ nombre }) => nombre),
    told: () => states.map(({ name, reason }) => (reason ? `${name}: ${reason.code}` : name)),
    becomes: (name: string, code?: string) => until(is(name, code), `${name} ${code ?? ""}`),
  };
}
