/** React hooks. A component is rendered again when what it reads changes. */

import { useSyncExternalStore } from "react";
import type { Catalog } from "./catalog.js";
import type { Furniture } from "./events.js";
import type { CatalogState } from "./state.js";
import type { CatalogSnapshot, CatalogStore } from "./store.js";

/** Return the present list. */
export function useCatalog<F extends Furniture>(store: CatalogStore<F>): CatalogSnapshot<F> {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

/** Return one piece, or undefined. Changes of other pieces do not render the component again. */
export function useFurniture<F extends Furniture>(
  store: CatalogStore<F>,
  furnitureId: string,
): F | undefined {
  const find = () => store.find(furnitureId);
  return useSyncExternalStore(store.subscribe, find, find);
}

/** Return the state of the connection. */
export function useCatalogState({ state }: Pick<Catalog, "state">): CatalogState {
  return useSyncExternalStore(state.subscribe, state.get, state.get);
}
