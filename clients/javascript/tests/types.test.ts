/** The types: this file must compile, and each line after `@ts-expect-error` must not. */

import { test } from "node:test";
import type { Socket } from "socket.io-client";
import {
  type Catalog,
  type CatalogStore,
  type ClientToServerEvents,
  connectCatalog,
  createCatalogStore,
  type Furniture,
  type ReasonCode,
  type ServerToClientEvents,
} from "../src/index.js";

interface Mueble extends Furniture {
  precio: number;
}

function bareSocket(socket: Socket<ServerToClientEvents, ClientToServerEvents>): void {
  socket.on("furniture_created", (event, offset) => {
    const name: string = event.furniture.nombre;
    const position: string = offset;
    void [name, position];
    // @ts-expect-error an offset is no number
    const wrong: number = offset;
    void wrong;
  });
  socket.on("ready", ({ gap, rooms }) => void [gap === true, rooms.length]);
  // @ts-expect-error there is no such event
  socket.on("furniture_moved", () => {});
  socket.emit("subscribe", ["material:roble"], (answer) => {
    if (answer.ok) answer.rooms.includes("catalog");
    // @ts-expect-error a failure has no rooms
    else answer.rooms.includes("catalog");
  });
  // @ts-expect-error altura and other fields are missing
  socket.emit("furniture_created", { furniture: { furniture_id: "1" } }, () => {});
  // @ts-expect-error there is no such command
  socket.emit("unknown");
}

function ownFields(catalog: Catalog<Mueble>, store: CatalogStore<Mueble>, mueble: Mueble): void {
  catalog.listen(({ events }) => events.map(({ furniture }) => furniture.precio.toFixed(2)));
  store.getSnapshot().items.map(({ precio }) => precio.toFixed(2));
  void store.publish("furniture_updated", { ...mueble, precio: 1 });
  // @ts-expect-error a price is a number
  void store.publish("furniture_updated", { ...mueble, precio: "1" });
  // @ts-expect-error there is no such type
  void catalog.publish("furniture_moved", mueble);
  // @ts-expect-error snapshots are read-only
  store.getSnapshot().items.push(mueble);
  const code: ReasonCode = "no_network";
  // @ts-expect-error there is no such state
  void [code, catalog.state.get().name === "closed"];
}

function options(): void {
  // @ts-expect-error load is required
  connectCatalog({ url: "http://localhost:8765" });
  const catalog = connectCatalog<Mueble>({
    // @ts-expect-error the items have no price
    load: async () => ({ items: [{ furniture_id: "1" }], since: null }),
  });
  createCatalogStore(catalog, { belongs: ({ precio }) => precio > 1 });
}

test("the types compile", () => void [bareSocket, ownFields, options]);
