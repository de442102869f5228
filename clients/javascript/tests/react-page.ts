/** A React page: its list, its state, one piece, and how often the piece was rendered. */

import { createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connectCatalog, createCatalogStore, type Furniture } from "../src/index.js";
import { useCatalog, useCatalogState, useFurniture } from "../src/react.js";

const url = new URLSearchParams(location.search).get("broker")!;
const catalog = connectCatalog<Furniture>({ url, load: () => ({ items: [], since: null }) });
const store = createCatalogStore(catalog);
let renders = 0;

function Mesa() {
  renders++;
  const mesa = useFurniture(store, "Mesa");
  return createElement("p", { id: "mesa" }, mesa ? `${mesa.altura} cm` : "none");
}

function Page() {
  const { items, unconfirmed } = useCatalog(store);
  const { name } = useCatalogState(catalog);
  return createElement("main", null, [
    createElement("output", { id: "state", key: "state" }, name),
    createElement(
      "ul",
      { id: "list", key: "list" },
      items.map(({ furniture_id, nombre }) => createElement("li", { key: furniture_id }, nombre)),
    ),
    createElement("p", { id: "unconfirmed", key: "unconfirmed" }, unconfirmed.size),
  ]);
}

function publish(furniture: Furniture): Promise<unknown> {
  return store.publish("furniture_updated", furniture);
}

Object.assign(window, { publish, renders: () => renders });
for (const [id, component] of Object.entries({ page: Page, piece: Mesa }))
  createRoot(document.getElementById(id)!).render(
    createElement(StrictMode, null, createElement(component)),
  );
